//! Data sets: images as bytes, a train and a test part, each a [`Source`].

mod built_in;
pub mod cifar;
#[cfg(not(target_arch = "wasm32"))]
mod cifar_folder;
mod codes;
mod crc;
#[cfg(not(target_arch = "wasm32"))]
mod file;
#[cfg(not(target_arch = "wasm32"))]
mod files;
#[cfg(all(feature = "pictures", not(target_arch = "wasm32")))]
mod folder;
mod gunzip;
pub mod idx;
#[cfg(not(target_arch = "wasm32"))]
mod idx_folder;
#[cfg(not(target_arch = "wasm32"))]
pub mod npy;
#[cfg(not(target_arch = "wasm32"))]
mod pickle;
#[cfg(all(feature = "pictures", not(target_arch = "wasm32")))]
pub mod picture;
#[cfg(not(target_arch = "wasm32"))]
mod read;
#[cfg(not(target_arch = "wasm32"))]
mod read_options;
pub mod scenes;
mod source;
pub mod synthetic;

use std::sync::Arc;

pub use built_in::BuiltIn;
pub use codes::Codes;
pub(crate) use crc::Crc;
#[cfg(not(target_arch = "wasm32"))]
pub use files::{Files, IN_MEMORY, Reading};
#[cfg(all(feature = "pictures", not(target_arch = "wasm32")))]
pub use folder::{Cache, USUAL_SIZE};
#[cfg(not(target_arch = "wasm32"))]
pub use read::{read, read_by, read_with};
#[cfg(not(target_arch = "wasm32"))]
pub use read_options::ReadOptions;
pub use source::{Source, Subset};

use crate::error::{Error, Result};
use crate::rng::Stream;

/// Images of one size in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// `[C, H, W]`
    pub shape: [usize; 3],
    /// One after the other, channels first.
    pub pixels: Vec<u8>,
    /// Class of each image, where there is one; training does not use it.
    pub labels: Option<Vec<u8>>,
}

impl Images {
    /// Values of one image.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.shape.iter().product()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len() / self.stride().max(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Images `from..to` as one slice.
    #[must_use]
    pub fn range(&self, from: usize, to: usize) -> &[u8] {
        &self.pixels[from * self.stride()..to * self.stride()]
    }
}

/// A train and a test part of the same image size.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What it is, for reports and errors: `built-in glyphs`, or the folder.
    pub name: String,
    /// What is trained on.
    pub train: Arc<dyn Source>,
    /// What is evaluated on.
    pub test: Arc<dyn Source>,
    /// What else there is to say of it; nothing is trained on that.
    pub about: About,
}

/// What was found where a data set was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The kind of its files.
    pub format: String,
    /// The options that had a say in what it is, of `image_size` and `skip_bad`.
    pub takes: &'static [&'static str],
    /// What its classes are called, in the order of their numbers; none where they have no names.
    pub classes: Vec<String>,
    /// What the user should hear: images that were resized or left out.
    pub notes: Vec<String>,
    /// The file in which decoded images are kept.
    pub cache: Option<std::path::PathBuf>,
}

impl Dataset {
    /// The set of two parts.
    pub fn new(
        name: impl Into<String>,
        train: impl Source + 'static,
        test: impl Source + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            train: Arc::new(train),
            test: Arc::new(test),
            about: About::default(),
        }
    }

    /// A set from images without a test part: a tenth of them, but at least one and at most 1000,
    /// becomes it, drawn by `seed`.
    ///
    /// # Errors
    /// [`Error::Data`] when there are fewer than two images, or as [`Self::validate`].
    pub fn hold_out(name: &str, images: impl Source + 'static, seed: u64) -> Result<Self> {
        let count = images.len();
        if count < 2 {
            return Err(Error::Data {
                name: name.to_owned(),
                message: format!(
                    "has {count} image(s); at least 2 are needed, one to train and one to test"
                ),
            });
        }
        let order = Stream::named(seed, "hold out").permutation(count as u32);
        let (test, train) = order.split_at((count / 10).clamp(1, 1000));
        let images: Arc<dyn Source> = Arc::new(images);
        let set = Self::new(
            name,
            Subset::new(Arc::clone(&images), train.to_vec())?,
            Subset::new(images, test.to_vec())?,
        );
        set.validate()?;
        Ok(set)
    }

    /// `[C, H, W]` of an image.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.train.shape()
    }

    /// Whether it can be trained on: not empty, one size; what size a model takes is for it to say, see
    /// [`Self::check_size`].
    ///
    /// # Errors
    /// [`Error::Data`] names the set and what is wrong with it.
    pub fn validate(&self) -> Result<()> {
        for (part, images) in [("train", &self.train), ("test", &self.test)] {
            if images.is_empty() {
                return Err(self.refuse(format!("the {part} part has no images")));
            }
            if u32::try_from(images.len()).is_err() {
                let count = images.len();
                return Err(self.refuse(format!(
                    "the {part} part has {count} images, at most {} can be told apart",
                    u32::MAX
                )));
            }
        }
        let (train, test) = (self.train.shape(), self.test.shape());
        if train != test {
            return Err(self.refuse(format!(
                "train images are {train:?} and test images {test:?} [C, H, W]; they must have one size"
            )));
        }
        if train.contains(&0) {
            return Err(self.refuse(format!(
                "images are {train:?} [C, H, W]: they have no pixels"
            )));
        }
        Ok(())
    }

    /// Whether a model takes its images, whose height and width `granularity` must divide.
    ///
    /// # Errors
    /// [`Error::Data`] names the set, the size of its images and what they must be divisible by.
    pub fn check_size(&self, granularity: usize) -> Result<()> {
        let [_, height, width] = self.shape();
        if height.is_multiple_of(granularity) && width.is_multiple_of(granularity) {
            return Ok(());
        }
        let does = match (granularity.is_power_of_two(), granularity.trailing_zeros()) {
            (true, 1) => "halves them".to_owned(),
            (true, 2) => "halves them twice".to_owned(),
            (true, n) => format!("halves them {n} times"),
            _ => format!("divides them by {granularity}"),
        };
        Err(self.refuse(format!(
            "images are {height} x {width}; height and width must be divisible by {granularity}, because the model \
             {does}: crop or pad them"
        )))
    }

    fn refuse(&self, message: String) -> Error {
        Error::Data {
            name: self.name.clone(),
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_images_are_no_training_images() {
        let images = Images {
            shape: [1, 4, 4],
            pixels: (0..40_u8).flat_map(|i| [i; 16]).collect(),
            labels: Some((0..40).collect()),
        };
        let set = Dataset::hold_out("forty", images, 3).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (36, 4));
        let mut seen = Vec::new();
        for part in [&set.train, &set.test] {
            let pixels = part.read_range(0..part.len()).unwrap();
            for (i, image) in pixels.chunks(16).enumerate() {
                assert_eq!(image, [part.label(i).unwrap(); 16]);
                seen.push(image[0]);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..40).collect::<Vec<u8>>());
    }

    #[test]
    fn sizes_are_the_models_to_say() {
        let of = |height: usize, width: usize| {
            let images = Images {
                shape: [1, height, width],
                pixels: vec![0; height * width],
                labels: None,
            };
            Dataset::new("one", images.clone(), images)
        };
        for (height, width, by, want) in [
            (8, 12, 4, None),
            (7, 5, 1, None),
            (9, 12, 3, None),
            (
                8,
                10,
                4,
                Some(
                    "8 x 10; height and width must be divisible by 4, because the model halves them twice: crop or pad them",
                ),
            ),
            (
                7,
                8,
                2,
                Some("divisible by 2, because the model halves them: crop"),
            ),
            (
                8,
                12,
                8,
                Some("divisible by 8, because the model halves them 3 times: crop"),
            ),
            (
                9,
                10,
                3,
                Some("divisible by 3, because the model divides them by 3: crop"),
            ),
        ] {
            of(height, width).validate().unwrap();
            let error = of(height, width)
                .check_size(by)
                .err()
                .map(|e| e.to_string());
            match (want, error) {
                (None, None) => {}
                (Some(want), Some(error)) => assert!(error.contains(want), "{error}"),
                (want, error) => panic!("{want:?}, {error:?}"),
            }
        }
        let error = of(0, 4).validate().unwrap_err().to_string();
        assert!(error.contains("no images"), "{error}");
    }
}
