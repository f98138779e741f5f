//! Any folder of images: PNG, JPEG, WebP and BMP files, flat or in folders by class, with or without a test part; resized and
//! cropped to one size, decoded on all cores once and kept in a file, see [`Cache`].

mod cache;
mod listing;
mod prepare;

pub use cache::Cache;
pub use prepare::{USUAL_SIZE, dataset};
