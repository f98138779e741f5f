//! The built-in data sets by their names.

use super::{Dataset, scenes, synthetic};
use crate::error::{Error, Result};

/// A built-in data set: a function of the seed, the same bytes on every machine and in the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// Grey strokes like handwritten digits, 28 pixels wide: [`synthetic`].
    Glyphs,
    /// Landscapes in colour, 32 or 64 pixels wide: [`scenes`].
    Scenes,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Glyphs, Self::Scenes];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Glyphs => "glyphs",
            Self::Scenes => "scenes",
        }
    }

    /// The one called `name`, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// Heights and widths that it can be drawn in; the first one is the usual one.
    #[must_use]
    pub fn sizes(self) -> &'static [usize] {
        match self {
            Self::Glyphs => &[synthetic::SIZE],
            Self::Scenes => &scenes::SIZES,
        }
    }

    /// What its classes are called.
    #[must_use]
    pub fn classes(self) -> Vec<String> {
        match self {
            Self::Glyphs => (0..10).map(|digit| digit.to_string()).collect(),
            Self::Scenes => scenes::CLASSES.map(str::to_owned).into(),
        }
    }

    /// The set for `seed`, `size` pixels high and wide.
    ///
    /// # Errors
    /// [`Error::Option`] when it is not drawn in that size.
    pub fn dataset(self, seed: u64, size: usize) -> Result<Dataset> {
        if !self.sizes().contains(&size) {
            let sizes: Vec<String> = self.sizes().iter().map(usize::to_string).collect();
            return Err(Error::Option {
                name: "image_size".into(),
                value: size.to_string(),
                want: format!("{} for the built-in {}", sizes.join(" or "), self.name()),
            });
        }
        let mut set = match self {
            Self::Glyphs => synthetic::glyphs(seed),
            Self::Scenes => scenes::scenes(seed, size),
        };
        set.about.format = "built in, drawn by the seed".into();
        set.about.classes = self.classes();
        set.about.takes = &["image_size"];
        Ok(set)
    }
}
