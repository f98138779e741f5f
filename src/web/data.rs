//! Data sets.

use std::sync::Arc;

use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;

use super::{JsResult, parse_options};
use crate::data::{BuiltIn, Dataset, Images, Source, cifar, idx, synthetic};
use crate::error::Error;

/// A data set.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Data {
    pub(super) set: Arc<Dataset>,
}

#[wasm_bindgen]
impl Data {
    fn new(set: Dataset) -> Self {
        Self { set: Arc::new(set) }
    }

    /// The built-in images.
    #[must_use]
    pub fn glyphs(seed: f64) -> Self {
        Self::new(synthetic::glyphs(seed as u64))
    }

    /// The built-in images called `name`, `glyphs` or `scenes`, of this height and width (28, and 32 or 64).
    ///
    /// # Errors
    /// [`Error::Config`] as an exception where there are no such images, [`Error::Option`] as one where they are of
    /// other sizes.
    pub fn built_in(name: &str, seed: f64, size: usize) -> JsResult<Self> {
        let unknown = || Error::Config(format!("no images called `{name}` are built in"));
        let set = BuiltIn::named(name).ok_or_else(unknown)?;
        Ok(Self::new(set.dataset(seed as u64, size)?))
    }

    /// An IDX file of images, plain or gzip; a test part is held out.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Data`] as an exception.
    pub fn idx(name: &str, bytes: &[u8], seed: f64) -> JsResult<Self> {
        let images = idx::parse_images(name, bytes)?;
        Ok(Self::new(Dataset::hold_out(name, images, seed as u64)?))
    }

    /// Two IDX files.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Data`] as an exception.
    pub fn idx_pair(
        train_name: &str,
        train: &[u8],
        test_name: &str,
        test: &[u8],
    ) -> JsResult<Self> {
        let set = Dataset::new(
            train_name,
            idx::parse_images(train_name, train)?,
            idx::parse_images(test_name, test)?,
        );
        set.validate()?;
        Ok(Self::new(set))
    }

    /// CIFAR's binary form; a test part is held out.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Data`] as an exception.
    pub fn cifar(name: &str, bytes: &[u8], seed: f64) -> JsResult<Self> {
        let images = cifar::parse(name, bytes)?;
        Ok(Self::new(Dataset::hold_out(name, images, seed as u64)?))
    }

    /// Images as bytes, one after the other, channels first; a test part is held out.
    ///
    /// # Errors
    /// [`Error::Data`] as an exception.
    pub fn images(
        name: &str,
        pixels: Vec<u8>,
        channels: usize,
        height: usize,
        width: usize,
        seed: f64,
    ) -> JsResult<Self> {
        let images = Images {
            shape: [channels, height, width],
            pixels,
            labels: None,
        };
        Ok(Self::new(Dataset::hold_out(name, images, seed as u64)?))
    }

    /// The two parts as they were given back by [`Self::part`].
    ///
    /// # Errors
    /// [`Error::Data`] as an exception.
    pub fn parts(
        name: &str,
        train: Vec<u8>,
        test: Vec<u8>,
        channels: usize,
        height: usize,
        width: usize,
    ) -> JsResult<Self> {
        let part = |pixels| Images {
            shape: [channels, height, width],
            pixels,
            labels: None,
        };
        let set = Dataset::new(name, part(train), part(test));
        set.validate()?;
        Ok(Self::new(set))
    }

    /// Whether the model that `options` (JSON, some of them) describe takes images of this size.
    ///
    /// # Errors
    /// [`Error::Data`] as an exception; [`Error::Config`] as one where the options cannot be read.
    pub fn check_size(&self, options: &str) -> JsResult<()> {
        let model = parse_options(options)?.model;
        Ok(self.set.check_size(model.granularity())?)
    }

    /// JSON: name, shape `[C, H, W]`, numbers of train and test images.
    #[must_use]
    pub fn describe(&self) -> String {
        let set = &self.set;
        json!({
            "name": set.name, "shape": set.shape(), "train": set.train.len(), "test": set.test.len(),
        })
        .to_string()
    }

    /// All bytes of the train (or test) part.
    ///
    /// # Errors
    /// Those of [`Source::read`] as an exception.
    pub fn part(&self, test: bool) -> JsResult<Vec<u8>> {
        let part = if test {
            &self.set.test
        } else {
            &self.set.train
        };
        Ok(part.read_range(0..part.len())?)
    }

    /// `count` test images from `start`, as far as there are any.
    ///
    /// # Errors
    /// Those of [`Source::read`] as an exception.
    pub fn test_images(&self, start: usize, count: usize) -> JsResult<Vec<u8>> {
        let test = &self.set.test;
        let end = (start + count).min(test.len());
        Ok(test.read_range(start.min(end)..end)?)
    }
}
