//! Where images come from: memory, files, or some of another source.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use super::Images;
use crate::error::{Error, Result};

/// Images of one size that can be read in any order. Training reads each image once an epoch where they do not
/// fit on the device, else once in all; evaluation reads them batch by batch.
pub trait Source: Debug + Send + Sync {
    /// `[C, H, W]` of an image.
    fn shape(&self) -> [usize; 3];

    /// How many images there are, at most `u32::MAX`.
    fn len(&self) -> usize;

    /// Writes the images at `at`, in that order and as often as they are named, to `out`: `C H W` bytes each,
    /// channels first.
    ///
    /// # Errors
    /// [`Error::File`] names the file and the image that cannot be read; [`Error::Config`] when there is no such
    /// image, or `out` is not as long as they are.
    fn read(&self, at: &[u32], out: &mut [u8]) -> Result<()>;

    /// Class of the image at `at`, where there is one; training does not use it.
    fn label(&self, _at: usize) -> Option<u8> {
        None
    }

    /// Whether there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of one image.
    fn stride(&self) -> usize {
        self.shape().iter().product()
    }

    /// The bytes of the images `range`.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_range(&self, range: Range<usize>) -> Result<Vec<u8>> {
        let at: Vec<u32> = range.map(|i| i as u32).collect();
        let mut out = vec![0; at.len() * self.stride()];
        self.read(&at, &mut out)?;
        Ok(out)
    }
}

/// Whether there are images `at` among `len`.
fn check_places(len: usize, at: &[u32]) -> Result<()> {
    match at.iter().find(|i| **i as usize >= len) {
        None => Ok(()),
        Some(none) => Err(Error::Config(format!(
            "there is no image {none}: there are {len}, from 0"
        ))),
    }
}

/// Whether `source` has images `at`, which fill `out`.
pub(super) fn check<S: Source + ?Sized>(source: &S, at: &[u32], out: &[u8]) -> Result<()> {
    check_places(source.len(), at)?;
    let (got, want) = (out.len(), at.len() * source.stride());
    if got != want {
        return Err(Error::Config(format!(
            "{} images of {:?} [C, H, W] are {want} bytes, not {got}",
            at.len(),
            source.shape()
        )));
    }
    Ok(())
}

impl Source for Images {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn read(&self, at: &[u32], out: &mut [u8]) -> Result<()> {
        check(self, at, out)?;
        for (i, out) in at.iter().zip(out.chunks_mut(self.stride().max(1))) {
            let i = *i as usize;
            out.copy_from_slice(self.range(i, i + 1));
        }
        Ok(())
    }

    fn label(&self, at: usize) -> Option<u8> {
        self.labels.as_ref()?.get(at).copied()
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn shape(&self) -> [usize; 3] {
        self.as_ref().shape()
    }

    fn len(&self) -> usize {
        self.as_ref().len()
    }

    fn read(&self, at: &[u32], out: &mut [u8]) -> Result<()> {
        self.as_ref().read(at, out)
    }

    fn label(&self, at: usize) -> Option<u8> {
        self.as_ref().label(at)
    }
}

/// Some images of another source, in an order of their own.
#[derive(Debug)]
pub struct Subset<S> {
    of: S,
    at: Vec<u32>,
}

impl<S: Source> Subset<S> {
    /// The images of `of` at `at`; one may be named several times.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no such image.
    pub fn new(of: S, at: Vec<u32>) -> Result<Self> {
        check_places(of.len(), &at)?;
        Ok(Self { of, at })
    }
}

impl<S: Source> Source for Subset<S> {
    fn shape(&self) -> [usize; 3] {
        self.of.shape()
    }

    fn len(&self) -> usize {
        self.at.len()
    }

    fn read(&self, at: &[u32], out: &mut [u8]) -> Result<()> {
        check(self, at, out)?;
        let at: Vec<u32> = at.iter().map(|i| self.at[*i as usize]).collect();
        self.of.read(&at, out)
    }

    fn label(&self, at: usize) -> Option<u8> {
        self.of.label(*self.at.get(at)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: u8) -> Images {
        Images {
            shape: [1, 2, 2],
            pixels: (0..count).flat_map(|i| [i; 4]).collect(),
            labels: Some((0..count).map(|i| 10 + i).collect()),
        }
    }

    #[test]
    fn images_are_read_in_any_order_and_again() {
        let all = images(5);
        let mut out = [0; 12];
        all.read(&[3, 0, 3], &mut out).unwrap();
        assert_eq!(out, [3, 3, 3, 3, 0, 0, 0, 0, 3, 3, 3, 3]);
        assert_eq!(all.read_range(1..3).unwrap(), [1, 1, 1, 1, 2, 2, 2, 2]);
        let some = Subset::new(Arc::new(all), vec![4, 2, 4]).unwrap();
        some.read(&[2, 1, 0], &mut out).unwrap();
        assert_eq!(out, [4, 4, 4, 4, 2, 2, 2, 2, 4, 4, 4, 4]);
        let labels = [0, 1, 2, 3].map(|i| some.label(i));
        assert_eq!(labels, [Some(14), Some(12), Some(14), None]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let all = Arc::new(images(5));
        let mut out = [0; 4];
        let some = Subset::new(Arc::clone(&all), vec![1]).unwrap();
        for (error, want) in [
            (all.read(&[5], &mut out), "there is no image 5: there are 5"),
            (
                some.read(&[1], &mut out),
                "there is no image 1: there are 1",
            ),
            (all.read(&[0, 1], &mut out), "are 8 bytes, not 4"),
            (
                Subset::new(all, vec![7]).map(drop),
                "there is no image 7: there are 5",
            ),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
