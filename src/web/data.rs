//! Data sets.

use std::sync::Arc;

use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;

use super::JsResult;
use crate::data::{Dataset, Images, cifar, idx, synthetic};

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

    /// An IDX file of images, plain or gzip; a test part is held out.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Data`] as an exception.
    pub fn idx(name: &str, bytes: &[u8], seed: f64) -> JsResult<Self> {
        let images = idx::parse_images(name, bytes)?;
        Ok(Self::new(Dataset::hold_out(name, &images, seed as u64)?))
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
        let set = Dataset {
            name: train_name.to_owned(),
            train: idx::parse_images(train_name, train)?,
            test: idx::parse_images(test_name, test)?,
        };
        set.validate()?;
        Ok(Self::new(set))
    }

    /// CIFAR's binary form; a test part is held out.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Data`] as an exception.
    pub fn cifar(name: &str, bytes: &[u8], seed: f64) -> JsResult<Self> {
        let images = cifar::parse(name, bytes)?;
        Ok(Self::new(Dataset::hold_out(name, &images, seed as u64)?))
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
        Ok(Self::new(Dataset::hold_out(name, &images, seed as u64)?))
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
        let set = Dataset {
            name: name.to_owned(),
            train: part(train),
            test: part(test),
        };
        set.validate()?;
        Ok(Self::new(set))
    }

    /// JSON: name, shape `[C, H, W]`, numbers of train and test images.
    #[must_use]
    pub fn describe(&self) -> String {
        let set = &self.set;
        json!({
            "name": set.name, "shape": set.train.shape, "train": set.train.len(), "test": set.test.len(),
        })
        .to_string()
    }

    /// All bytes of the train (or test) part.
    #[must_use]
    pub fn part(&self, test: bool) -> Vec<u8> {
        let part = if test {
            &self.set.test
        } else {
            &self.set.train
        };
        part.pixels.clone()
    }

    /// `count` test images from `start`, as far as there are any.
    #[must_use]
    pub fn test_images(&self, start: usize, count: usize) -> Vec<u8> {
        let test = &self.set.test;
        let end = (start + count).min(test.len());
        test.range(start.min(end), end).to_vec()
    }
}
