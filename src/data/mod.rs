//! Data sets: images as bytes, a train and a test part.

pub mod cifar;
#[cfg(not(target_arch = "wasm32"))]
mod cifar_folder;
mod codes;
mod file;
mod gunzip;
pub mod idx;
mod idx_folder;
#[cfg(not(target_arch = "wasm32"))]
pub mod npy;
#[cfg(all(feature = "pictures", not(target_arch = "wasm32")))]
pub mod png;
pub mod synthetic;

pub use codes::Codes;

use crate::error::{Error, Result};
use crate::rng::Stream;

/// The data set at `path`: a folder of IDX files or of CIFAR's binary files, or one of the latter alone. Where
/// there is no test part, one is held out by `seed`.
///
/// # Errors
/// [`Error::File`] names what is missing or damaged, and what the folder holds.
#[cfg(not(target_arch = "wasm32"))]
pub fn read(path: &std::path::Path, seed: u64) -> Result<Dataset> {
    if cifar_folder::is_file(path) {
        let files = [vec![path.to_path_buf()], Vec::new()];
        return cifar_folder::dataset(path, &files, seed);
    }
    let files = cifar_folder::files(path);
    if files.iter().all(Vec::is_empty) || idx_folder::holds_images(path) {
        return idx::read_folder(path);
    }
    cifar_folder::dataset(path, &files, seed)
}

/// Images of one size.
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

impl Images {
    /// The images at `indices`, in that order.
    fn pick(&self, indices: &[u32]) -> Self {
        let chosen = indices.iter().map(|i| *i as usize);
        Self {
            shape: self.shape,
            pixels: chosen
                .clone()
                .flat_map(|i| self.range(i, i + 1).iter().copied())
                .collect(),
            labels: self
                .labels
                .as_ref()
                .map(|labels| chosen.map(|i| labels[i]).collect()),
        }
    }
}

/// A train and a test part of the same image size.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What it is, for reports and errors: `built-in glyphs`, or the folder.
    pub name: String,
    /// What is trained on.
    pub train: Images,
    /// What is evaluated on.
    pub test: Images,
}

impl Dataset {
    /// A set from images without a test part: a tenth of them, but at least one and at most 1000,
    /// becomes it, drawn by `seed`.
    ///
    /// # Errors
    /// [`Error::Data`] when there are fewer than two images, or as [`Self::validate`].
    pub fn hold_out(name: &str, images: &Images, seed: u64) -> Result<Self> {
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
        let set = Self {
            name: name.to_owned(),
            train: images.pick(train),
            test: images.pick(test),
        };
        set.validate()?;
        Ok(set)
    }

    /// Whether it can be trained on: not empty, one size, height and width divisible by 4.
    ///
    /// # Errors
    /// [`Error::Data`] names the set and what is wrong with it.
    pub fn validate(&self) -> Result<()> {
        let refuse = |message: String| {
            Err(Error::Data {
                name: self.name.clone(),
                message,
            })
        };
        for (part, images) in [("train", &self.train), ("test", &self.test)] {
            if images.is_empty() {
                return refuse(format!("the {part} part has no images"));
            }
        }
        let [_, height, width] = self.train.shape;
        if self.train.shape != self.test.shape {
            return refuse(format!(
                "train images are {:?} and test images {:?} [C, H, W]; they must have one size",
                self.train.shape, self.test.shape
            ));
        }
        if height == 0 || width == 0 || !height.is_multiple_of(4) || !width.is_multiple_of(4) {
            return refuse(format!(
                "images are {height} x {width}; height and width must be divisible by 4, because the model halves \
                 them twice: crop or pad them"
            ));
        }
        Ok(())
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
        let set = Dataset::hold_out("forty", &images, 3).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (36, 4));
        let mut seen: Vec<u8> = set.train.labels.clone().unwrap();
        seen.extend(set.test.labels.clone().unwrap());
        assert_eq!(set.test.pixels[0], set.test.labels.as_ref().unwrap()[0]);
        seen.sort_unstable();
        assert_eq!(seen, (0..40).collect::<Vec<u8>>());
    }
}
