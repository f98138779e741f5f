//! Codes of images, as a quantiser makes them and a .npy file holds them.

/// The codes of some images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    /// `[B, H, W]`: that of z without its features.
    pub shape: Vec<usize>,
    /// One a vector, below the number of codes.
    pub values: Vec<i32>,
}

impl Codes {
    /// The first axis: images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes of images `start..end`.
    #[must_use]
    pub fn range(&self, start: usize, end: usize) -> Self {
        let size: usize = self.shape[1..].iter().product();
        let mut shape = self.shape.clone();
        shape[0] = end - start;
        Self {
            shape,
            values: self.values[start * size..end * size].to_vec(),
        }
    }
}
