//! The built-in colour set: landscapes with a sky, a sun or moon, hills and what stands in front of them, a function of
//! the seed.
//!
//! A scene is painted from far to near: sky, sun, clouds, ridges, ground, then things by their distance, so that near ones
//! hide far ones. Its class is its ground: meadow, sea, desert, winter or town.

mod air;
mod canvas;
mod scene;
mod things;

pub use scene::{CLASSES, SIZES, TEST, TRAIN, scenes};
