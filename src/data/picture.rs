//! Images of the usual formats as a model sees them: PNG, JPEG, WebP and BMP, turned upright as their EXIF data say,
//! grey or colour, on white where they are transparent.
//!
//! The same numbers as the page makes of a dropped image, and as Pillow's `L`: grey by the weights of
//! ITU-R BT.601, 0.299, 0.587 and 0.114.

use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::{Images, file};
use crate::error::{Error, Result};

/// The formats that are read, and the ends of their files' names.
const FORMATS: [(ImageFormat, &str, &[&str]); 4] = [
    (ImageFormat::Png, "PNG", &["png"]),
    (ImageFormat::Jpeg, "JPEG", &["jpg", "jpeg"]),
    (ImageFormat::WebP, "WebP", &["webp"]),
    (ImageFormat::Bmp, "BMP", &["bmp"]),
];

/// The longest file that is read, in bytes.
const LARGEST: u64 = 1 << 28;
/// The most pixels of an image that a model is given as it is: 4096 by 4096, above what a model's buffers take.
const PIXELS: u64 = 1 << 24;
/// The most pixels of an image that is made smaller: 8192 by 8192.
const PIXELS_TO_RESIZE: u64 = 1 << 26;
/// What the decoder may allocate, in bytes a pixel: 16 bits of four channels, and as much again.
const MEMORY: u64 = 16;

/// Whether a file is called like an image.
pub(super) fn is_named_so(path: &Path) -> bool {
    let end = path.extension().unwrap_or_default().to_ascii_lowercase();
    let mut ends = FORMATS.iter().flat_map(|(_, _, ends)| *ends);
    ends.any(|known| end == *known)
}

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
    if channels != 1 && channels != 3 {
        let message = format!("is grey or colour, the model wants {channels} channels");
        return Err(Error::file(path, message));
    }
    let image = on_white(decode(path, bytes, PIXELS)?);
    Ok(Images {
        shape: [channels, image.height() as usize, image.width() as usize],
        pixels: planes(&image, channels),
        labels: None,
    })
}

/// What an image is like, without its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Width and height, upright.
    pub size: (u32, u32),
    /// It is stored without colours.
    pub grey: bool,
}

/// The header of the image in a file.
///
/// # Errors
/// As [`read`].
pub(super) fn header(path: &Path) -> Result<Header> {
    let bytes = file::read(path, LARGEST)?;
    let quiet = quietly(|| {
        let (_, mut decoder) = open(&bytes, PIXELS_TO_RESIZE)?;
        let (width, height) = decoder.dimensions();
        let grey = !decoder.color_type().has_color();
        let size = match lies(decoder.orientation().map_err(Refused::Decoder)?) {
            true => (height, width),
            false => (width, height),
        };
        Ok(Header { size, grey })
    });
    said(path, &bytes, quiet)
}

/// The image in a file, its middle cut out as a square and resized to `size` where there is one; as `channels` planes.
///
/// # Errors
/// As [`read`].
pub(super) fn read_fitted(path: &Path, channels: usize, size: Option<usize>) -> Result<Images> {
    let bytes = file::read(path, LARGEST)?;
    let mut image = on_white(decode(path, &bytes, PIXELS_TO_RESIZE)?);
    if let Some(size) = size {
        image = fitted(image, size as u32);
    }
    Ok(Images {
        shape: [channels, image.height() as usize, image.width() as usize],
        pixels: planes(&image, channels),
        labels: None,
    })
}

/// The middle square of `image`, `size` wide: what is left of it where its shorter side is resized to `size`, and the
/// longer one cropped.
fn fitted(image: RgbImage, size: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    if (width, height) == (size, size) {
        return image;
    }
    let side = width.min(height);
    let square = imageops::crop_imm(&image, (width - side) / 2, (height - side) / 2, side, side);
    if side == size {
        return square.to_image();
    }
    imageops::resize(&*square, size, size, FilterType::CatmullRom)
}

fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    let mut out = RgbImage::new(image.width(), image.height());
    for (to, from) in out.pixels_mut().zip(image.pixels()) {
        let [r, g, b, alpha] = from.0;
        to.0 = [r, g, b].map(|value| over_white(value, alpha));
    }
    out
}

/// Channels first; one is grey.
fn planes(image: &RgbImage, channels: usize) -> Vec<u8> {
    if channels == 1 {
        return image.pixels().map(|pixel| grey(pixel.0)).collect();
    }
    let plane = |c: usize| image.pixels().map(move |pixel| pixel.0[c]);
    (0..channels).flat_map(plane).collect()
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
    /// Of none of the formats.
    Unknown,
    /// More pixels than these.
    Size(u32, u32, u64),
    Decoder(ImageError),
    /// Its end is missing.
    Short,
}

/// The decoder's own code failed.
struct Panicked;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder; a panic of it (png 0.18.1 has one on a palette whose length is no multiple of 3)
/// is caught, and its report on standard error left out.
fn quietly<T>(
    decode: impl FnOnce() -> std::result::Result<T, Refused>,
) -> std::result::Result<std::result::Result<T, Refused>, Panicked> {
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
    let result = catch_unwind(AssertUnwindSafe(decode));
    QUIET.set(false);
    result.map_err(|_| Panicked)
}

/// What came of a decoder, its error as one line about `path`.
fn said<T>(
    path: &Path,
    bytes: &[u8],
    outcome: std::result::Result<std::result::Result<T, Refused>, Panicked>,
) -> Result<T> {
    let name = format_of(bytes).map_or("PNG, JPEG, WebP or BMP", |(_, name)| name);
    let message = match outcome {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(Refused::Unknown)) if bytes.is_empty() => "is empty, and no image".into(),
        Ok(Err(Refused::Unknown)) => format!("is no readable {name} image"),
        Ok(Err(Refused::Short)) => format!("is no readable {name} image (its end is missing)"),
        Ok(Err(Refused::Size(width, height, most))) => {
            format!("is {width} x {height}, at most {most} pixels can be read: crop or resize it")
        }
        Ok(Err(Refused::Decoder(error))) => {
            let why = one_line(&error.to_string());
            format!("is no readable {name} image ({why})")
        }
        Err(Panicked) => format!("is a damaged {name} image; save it again"),
    };
    Err(Error::file(path, message))
}

/// What the first bytes say.
fn format_of(bytes: &[u8]) -> Option<(ImageFormat, &'static str)> {
    let guess = image::guess_format(bytes).ok()?;
    let known = FORMATS.iter().find(|(format, ..)| *format == guess);
    known.map(|(format, name, _)| (*format, *name))
}

/// The decoder of an image of at most `most` pixels, and its format.
fn open(
    bytes: &[u8],
    most: u64,
) -> std::result::Result<(ImageFormat, impl ImageDecoder + '_), Refused> {
    let (format, _) = format_of(bytes).ok_or(Refused::Unknown)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MEMORY * most);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(Refused::Decoder)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most {
        return Err(Refused::Size(width, height, most));
    }
    Ok((format, decoder))
}

/// The upright image of at most `most` pixels.
fn decode(path: &Path, bytes: &[u8], most: u64) -> Result<DynamicImage> {
    let decoded = quietly(|| {
        let (format, mut decoder) = open(bytes, most)?;
        // The decoder makes up what is missing of a photo.
        if format == ImageFormat::Jpeg && !jpeg_ends(bytes) {
            return Err(Refused::Short);
        }
        let orientation = decoder.orientation().map_err(Refused::Decoder)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(Refused::Decoder)?;
        image.apply_orientation(orientation);
        Ok(image)
    });
    said(path, bytes, decoded)
}

/// Whether turning it upright exchanges width and height.
fn lies(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(
        orientation,
        Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH
    )
}

/// Whether the mark of a JPEG file's end comes behind its first scan; a preview in its head has an end of its own.
fn jpeg_ends(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    while let Some([0xff, kind, high, low]) = bytes.get(at..at + 4) {
        if *kind == START_OF_SCAN {
            return bytes[at..]
                .windows(2)
                .rev()
                .any(|pair| pair == [0xff, 0xd9]);
        }
        // Fill bytes may stand before a mark.
        at += match kind {
            0xff => 1,
            _ => 2 + usize::from(u16::from_be_bytes([*high, *low])),
        };
    }
    false
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
            (
                b"GIF89a".to_vec(),
                "is no readable PNG, JPEG, WebP or BMP image",
            ),
            (Vec::new(), "is empty, and no image"),
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
