//! What a data set is like: figures of its pixels, and a sheet of its training images.

use std::path::Path;

use super::pictures::write_image;
use crate::data::{Dataset, Images, Source};
use crate::error::Result;

/// Images that are read at once.
const CHUNK: usize = 256;
/// Pixels between two images.
const GAP: usize = 2;
/// How wide a sheet is, about, in pixels.
const WIDTH: usize = 1000;
/// Rows of a sheet without classes, and classes of one with them, at most.
const ROWS: usize = 12;

/// The mean and the standard deviation of each channel over all images, black being 0 and white 1.
///
/// # Errors
/// Those of [`Source::read`].
pub fn moments(images: &dyn Source) -> Result<Vec<(f64, f64)>> {
    let [channels, height, width] = images.shape();
    let plane = height * width;
    let mut sums = vec![(0_u64, 0_u64); channels];
    let all: Vec<u32> = (0..images.len() as u32).collect();
    for some in all.chunks(CHUNK) {
        let mut bytes = vec![0; some.len() * images.stride()];
        images.read(some, &mut bytes)?;
        for (i, pixels) in bytes.chunks(plane).enumerate() {
            let (sum, squares) = &mut sums[i % channels];
            for pixel in pixels {
                *sum += u64::from(*pixel);
                *squares += u64::from(*pixel) * u64::from(*pixel);
            }
        }
    }
    let count = (all.len() * plane).max(1) as f64;
    let of = |(sum, squares): &(u64, u64)| {
        let mean = *sum as f64 / count;
        let variance = (*squares as f64 / count - mean * mean).max(0.0);
        (mean / 255.0, variance.sqrt() / 255.0)
    };
    Ok(sums.iter().map(of).collect())
}

/// How many images of each class there are; empty where they have none.
#[must_use]
pub fn class_counts(images: &dyn Source) -> Vec<usize> {
    let mut counts = Vec::new();
    for label in (0..images.len()).filter_map(|i| images.label(i)) {
        let label = usize::from(label);
        if counts.len() <= label {
            counts.resize(label + 1, 0);
        }
        counts[label] += 1;
    }
    counts
}

/// Training images on a PNG: a row for each of the first classes where there are some, otherwise as they come.
///
/// # Errors
/// Those of [`Source::read`], and as [`super::write_file`].
pub fn write_sheet(path: &Path, data: &Dataset) -> Result<()> {
    let rows = chosen(data.train.as_ref(), columns(data.shape()));
    write_rows(path, data.train.as_ref(), &rows)
}

/// All of `images` on a PNG, row by row in about a square, as wide as a sheet at most.
///
/// # Errors
/// As [`write_sheet`].
pub fn write_grid(path: &Path, images: &Images) -> Result<()> {
    let square = (images.len() as f64).sqrt().ceil() as usize;
    let all: Vec<u32> = (0..images.len() as u32).collect();
    let columns = square.clamp(1, columns(images.shape));
    let rows: Vec<Vec<u32>> = all.chunks(columns).map(<[u32]>::to_vec).collect();
    write_rows(path, images, &rows)
}

/// All of `images` on a PNG, side by side.
///
/// # Errors
/// As [`write_sheet`].
pub fn write_row(path: &Path, images: &Images) -> Result<()> {
    write_rows(path, images, &[(0..images.len() as u32).collect()])
}

/// Whether small images are shown twice as large.
fn zoom([_, height, width]: [usize; 3]) -> usize {
    usize::from(width <= 96 && height <= 96)
}

/// Images of a row, at most.
fn columns(shape: [usize; 3]) -> usize {
    (WIDTH / ((shape[2] + GAP) << zoom(shape))).max(1)
}

/// The images at these places, in rows.
fn write_rows(path: &Path, images: &dyn Source, rows: &[Vec<u32>]) -> Result<()> {
    let [channels, height, width] = images.shape();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let sheet_width = columns * (width + GAP) + GAP;
    let sheet_height = rows.len() * (height + GAP) + GAP;
    let mut pixels = vec![96; channels * sheet_height * sheet_width];
    let mut image = vec![0; images.stride()];
    for (row, places) in rows.iter().enumerate() {
        for (column, place) in places.iter().enumerate() {
            images.read(&[*place], &mut image)?;
            let (left, top) = (GAP + column * (width + GAP), GAP + row * (height + GAP));
            for (i, line) in image.chunks(width).enumerate() {
                let (c, y) = (i / height, top + i % height);
                let at = (c * sheet_height + y) * sheet_width + left;
                pixels[at..at + width].copy_from_slice(line);
            }
        }
    }
    let sheet = Images {
        shape: [channels, sheet_height, sheet_width],
        pixels,
        labels: None,
    };
    write_image(path, &sheet, zoom(images.shape()))
}

/// The places of the images of each row.
fn chosen(images: &dyn Source, columns: usize) -> Vec<Vec<u32>> {
    let classes = class_counts(images).len();
    if classes < 2 {
        let shown: Vec<u32> = (0..images.len().min(ROWS * columns) as u32).collect();
        return shown.chunks(columns).map(<[u32]>::to_vec).collect();
    }
    let mut rows = vec![Vec::new(); classes.min(ROWS)];
    for place in 0..images.len() {
        let row = images
            .label(place)
            .and_then(|label| rows.get_mut(usize::from(label)));
        if let Some(row) = row.filter(|row| row.len() < columns) {
            row.push(place as u32);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_pixels() {
        let images = Images {
            shape: [2, 1, 2],
            pixels: vec![0, 255, 51, 51, 255, 0, 51, 51],
            labels: Some(vec![0, 2]),
        };
        let found = moments(&images).unwrap();
        for (got, want) in found.iter().zip([(0.5, 0.5), (0.2, 0.0)]) {
            assert!(
                (got.0 - want.0).abs() < 1e-9 && (got.1 - want.1).abs() < 1e-6,
                "{got:?}"
            );
        }
        assert_eq!(class_counts(&images), [1, 0, 1]);
        assert_eq!(chosen(&images, 4), [vec![0], vec![], vec![1]]);
    }
}
