//! Images as PNG: `reconstructions.png`, `test-image.png`, and what the commands write.

use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};

use super::{RECONSTRUCTIONS, TEST_IMAGE, io_error, write_file};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::train::Session;

/// Writes one image as PNG, each pixel `1 << zoom` pixels wide.
///
/// # Errors
/// As [`write_file`].
pub fn write_image(path: &Path, image: &Images, zoom: usize) -> Result<()> {
    let [channels, height, width] = image.shape;
    let color = if channels == 1 {
        ExtendedColorType::L8
    } else {
        ExtendedColorType::Rgb8
    };
    let (rows, columns) = (height << zoom, width << zoom);
    let mut bytes = Vec::with_capacity(rows * columns * channels);
    for y in 0..rows {
        for x in 0..columns {
            let at = |c: usize| (c * height + (y >> zoom)) * width + (x >> zoom);
            bytes.extend((0..channels).map(|c| image.pixels[at(c)]));
        }
    }
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new(&mut file)
        .write_image(&bytes, columns as u32, rows as u32, color)
        .map_err(|e| Error::file(path, e.to_string()))?;
    write_file(path, &file.into_inner())
}

/// Each of `images` in `folder`, which is made where it is not there: `0.png`, `1.png` and so on.
///
/// # Errors
/// As [`write_file`].
pub fn write_each(folder: &Path, images: &Images) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| io_error(folder, &e))?;
    for i in 0..images.len() {
        let image = Images {
            shape: images.shape,
            pixels: images.range(i, i + 1).to_vec(),
            labels: None,
        };
        write_image(&folder.join(format!("{i}.png")), &image, 0)?;
    }
    Ok(())
}

/// The first `count` test images, each row of them above its reconstructions, as
/// `reconstructions.png`; the first one alone as `test-image.png`.
///
/// # Errors
/// As [`Session::reconstruct`] and [`write_file`].
pub async fn reconstructions(dir: &Path, session: &Session, count: usize) -> Result<()> {
    const COLUMNS: usize = 16;
    const GAP: usize = 2;
    let test = &session.data().test;
    let count = count.min(test.len());
    let [channels, height, width] = test.shape();
    let originals = Images {
        shape: test.shape(),
        pixels: test.read_range(0..count)?,
        labels: None,
    };
    let first = Images {
        pixels: originals.range(0, 1).to_vec(),
        ..originals.clone()
    };
    write_image(&dir.join(TEST_IMAGE), &first, 0)?;
    let results = session.reconstruct(&originals).await?;
    let columns = COLUMNS.min(count);
    let rows = count.div_ceil(columns);
    let sheet_width = columns * (width + GAP) + GAP;
    let sheet_height = rows * (2 * height + 3 * GAP) + GAP;
    let mut pixels = vec![96; channels * sheet_height * sheet_width];
    for i in 0..count {
        let left = GAP + i % columns * (width + GAP);
        let top = GAP + i / columns * (2 * height + 3 * GAP);
        for (image, top) in [(&originals, top), (&results, top + height + GAP)] {
            for (p, value) in image.range(i, i + 1).iter().enumerate() {
                let (c, y, x) = (p / (height * width), p / width % height, p % width);
                pixels[(c * sheet_height + top + y) * sheet_width + left + x] = *value;
            }
        }
    }
    let sheet = Images {
        shape: [channels, sheet_height, sheet_width],
        pixels,
        labels: None,
    };
    write_image(&dir.join(RECONSTRUCTIONS), &sheet, 1)
}
