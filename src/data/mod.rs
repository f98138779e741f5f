//! Data sets: images as bytes, a train and a test part.

pub mod idx;
pub mod synthetic;

use crate::error::{Error, Result};

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
