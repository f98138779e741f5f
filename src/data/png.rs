//! PNG images as a model sees them: grey or colour, on white where they are transparent.
//!
//! The same numbers as the page makes of a dropped image, and as Pillow's `L`: grey by the weights of
//! ITU-R BT.601, 0.299, 0.587 and 0.114.

use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder as _, ImageError, Limits};

use super::{Images, file};
use crate::error::{Error, Result};

/// The longest file that is read, in bytes.
const LARGEST: u64 = 1 << 28;
/// The most pixels of an image: 4096 by 4096, above what a model's buffers take.
const PIXELS: u64 = 1 << 24;
/// What the decoder may allocate, in bytes: 16 bits of four channels, and as much again.
const MEMORY: u64 = 16 * PIXELS;

/// The image in a file, with `channels` 1 (grey) or 3.
///
/// # Errors
/// [`Error::File`] names the file, what is wrong with it and what to do.
pub fn read(path: &Path, channels: usize) -> Result<Images> {
    parse(path, &file::read(path, LARGEST)?, channels)
}

/// An image from the bytes of a file; `path` is for errors.
///
/// # Errors
/// [`Error::File`], see [`read`].
pub fn parse(path: &Path, bytes: &[u8], channels: usize) -> Result<Images> {
    let refuse = |message: String| Err(Error::file(path, message));
    if channels != 1 && channels != 3 {
        return refuse(format!(
            "is grey or colour, the model wants {channels} channels"
        ));
    }
    let image = match decode(bytes) {
        Ok(Ok(image)) => image,
        Ok(Err(Refused::Size(width, height))) => {
            return refuse(format!(
                "is {width} x {height}, at most {PIXELS} pixels can be read: crop or resize it"
            ));
        }
        Ok(Err(Refused::Decoder(error))) => {
            return refuse(format!(
                "is no readable PNG image ({})",
                one_line(&error.to_string())
            ));
        }
        Err(Panicked) => return refuse("is a damaged PNG image; save it again".into()),
    };
    let (width, height) = (image.width() as usize, image.height() as usize);
    let on_white = image.into_rgba8();
    let mut pixels = vec![0; channels * width * height];
    for (i, pixel) in on_white.pixels().enumerate() {
        let [r, g, b, alpha] = pixel.0;
        let rgb = [r, g, b].map(|value| over_white(value, alpha));
        if channels == 1 {
            pixels[i] = grey(rgb);
        } else {
            for (c, value) in rgb.into_iter().enumerate() {
                pixels[c * width * height + i] = value;
            }
        }
    }
    Ok(Images {
        shape: [channels, height, width],
        pixels,
        labels: None,
    })
}

/// BT.601 with 16 fractional bits, rounded, as Pillow has it.
fn grey([r, g, b]: [u8; 3]) -> u8 {
    let [r, g, b] = [r, g, b].map(u32::from);
    ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
}

/// `value` with opacity `alpha` in front of white, rounded.
fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// The decoder's words in one line, its names of chunks as PNG has them.
fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = text.split("ChunkType {");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (about, rest) = part.split_once('}').unwrap_or(("", part));
        let name = about.trim_start().strip_prefix("type: ");
        let name = name.and_then(|n| n.split(',').next());
        out.push_str(name.unwrap_or("of some").trim());
        out.push_str(rest);
    }
    out
}

enum Refused {
    Size(u32, u32),
    Decoder(ImageError),
}

/// The decoder's own code failed.
struct Panicked;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Decodes; a panic of the decoder (png 0.18.1 has one on a palette whose length is no multiple of 3)
/// is caught, and its report on standard error left out.
fn decode(
    bytes: &[u8],
) -> std::result::Result<std::result::Result<DynamicImage, Refused>, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| decode_or_panic(bytes)));
    QUIET.set(false);
    result.map_err(|_| Panicked)
}

fn decode_or_panic(bytes: &[u8]) -> std::result::Result<DynamicImage, Refused> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MEMORY);
    let mut decoder =
        PngDecoder::with_limits(Cursor::new(bytes), limits.clone()).map_err(Refused::Decoder)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS {
        return Err(Refused::Size(width, height));
    }
    decoder.set_limits(limits).map_err(Refused::Decoder)?;
    DynamicImage::from_decoder(decoder).map_err(Refused::Decoder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/png")
    }

    /// Values of Pillow 13.0 (`tests/cases/png/generate.py`), for every kind of pixel that PNG has.
    #[test]
    fn pixels_are_pillows() {
        let text = std::fs::read(folder().join("values.json")).unwrap();
        let cases: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
        assert_eq!(cases.len(), 15);
        for (name, values) in cases {
            let path = folder().join(format!("{name}.png"));
            for (channels, key) in [(1, "grey"), (3, "rgb")] {
                let image = read(&path, channels).unwrap();
                assert_eq!(image.shape, [channels, 4, 8]);
                let want: Vec<u8> = serde_json::from_value(values[key].clone()).unwrap();
                assert_eq!(image.pixels, want, "{name}, {key}");
            }
        }
    }

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let body = [kind, data].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        let length = (data.len() as u32).to_be_bytes();
        [&length[..], &body, &crc.sum().to_be_bytes()].concat()
    }

    /// An image of `width` by `height`, with a palette of `palette` bytes.
    fn palette(width: u32, height: u32, palette: usize) -> Vec<u8> {
        use std::io::Write as _;
        let mut data = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        data.write_all(&[0; 10]).unwrap();
        let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
        [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &[&sizes[..], &[1, 3, 0, 0, 0]].concat()),
            chunk(b"PLTE", &vec![9; palette]),
            chunk(b"IDAT", &data.finish().unwrap()),
            chunk(b"IEND", &[]),
        ]
        .concat()
    }

    #[test]
    fn damage_is_one_line_without_a_panic() {
        let read = |bytes: &[u8]| parse(Path::new("x.png"), bytes, 1);
        assert_eq!(read(&palette(4, 4, 6)).unwrap().pixels, [9; 16]);
        // What size a model takes is not the file's to know.
        assert_eq!(read(&palette(4, 5, 6)).unwrap().shape, [1, 5, 4]);
        let good = palette(4, 4, 6);
        let mut wrong_sum = good.clone();
        wrong_sum[8 + 8 + 13] ^= 1;
        for (bytes, want) in [
            (palette(4, 4, 4), "is a damaged PNG image"),
            (palette(4, 4, 5), "is a damaged PNG image"),
            (palette(4, 4, 2), "is no readable PNG image"),
            (
                palette(65_535, 65_535, 6),
                "is 65535 x 65535, at most 16777216 pixels",
            ),
            (palette(u32::MAX, u32::MAX, 6), "is no readable PNG image"),
            (good[..good.len() - 30].to_vec(), "is no readable PNG image"),
            (wrong_sum, "while decoding IHDR chunk.)"),
            (b"GIF89a".to_vec(), "is no readable PNG image"),
            (Vec::new(), "is no readable PNG image"),
        ] {
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
            assert!(
                !error.contains(['\n', '{']) && error.starts_with("x.png: "),
                "{error}"
            );
        }
    }
}
