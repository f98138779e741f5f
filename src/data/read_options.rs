//! How a data set is read.

use super::Reading;
#[cfg(feature = "pictures")]
use super::folder::Cache;

/// How a data set is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// Draws the test part where there is none.
    pub seed: u64,
    /// Whether images are in memory or in their files.
    pub reading: Reading,
    /// Height and width that images of a folder are resized and cropped to; none for the one size that all of them
    /// have, if it is at most 256 and [`Self::granularity`] divides it, otherwise 64.
    pub image_size: Option<usize>,
    /// What divides the height and width of the images that the model takes.
    pub granularity: usize,
    /// Channels that images of a folder are read with, 1 (grey) or 3; none for 1 where all of them are grey, otherwise 3.
    pub channels: Option<usize>,
    /// Whether images of a folder that cannot be read are left out.
    pub skip_bad: bool,
    /// Where decoded images of a folder are kept.
    #[cfg(feature = "pictures")]
    pub cache: Cache,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            reading: Reading::default(),
            image_size: None,
            granularity: 1,
            channels: None,
            skip_bad: false,
            #[cfg(feature = "pictures")]
            cache: Cache::default(),
        }
    }
}
