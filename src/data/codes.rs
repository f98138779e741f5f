//! Codes of images, as a quantiser makes them and a .npy file holds them.

/// The codes of some images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    /// `[B, H, W]`: that of z without its features; `[B, H, W, D]` of D code maps in one.
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

    /// D code maps of one shape `[B, H, W]` as one `[B, H, W, D]`, the codes of a vector side by side; of a single map
    /// that map.
    ///
    /// # Panics
    /// When there is no map, or their shapes differ.
    #[must_use]
    pub fn joined(maps: &[Self]) -> Self {
        let [first, more @ ..] = maps else {
            panic!("there are no code maps");
        };
        assert!(
            more.iter().all(|map| map.shape == first.shape),
            "code maps have one shape"
        );
        if more.is_empty() {
            return first.clone();
        }
        let vectors = 0..first.values.len();
        Self {
            shape: [first.shape.as_slice(), &[maps.len()]].concat(),
            values: vectors
                .flat_map(|n| maps.iter().map(move |map| map.values[n]))
                .collect(),
        }
    }

    /// The D code maps of `[B, H, W, D]`; of `[B, H, W]` itself.
    #[must_use]
    pub fn maps(&self) -> Vec<Self> {
        let [b, h, w, maps] = self.shape[..] else {
            return vec![self.clone()];
        };
        let map = |d: usize| Self {
            shape: vec![b, h, w],
            values: self.values.iter().skip(d).step_by(maps).copied().collect(),
        };
        (0..maps).map(map).collect()
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
