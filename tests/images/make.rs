//! Images and folders of them, made here.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageFormat, Rgb, RgbImage};
use semivq::data::{Cache, Dataset, ReadOptions, read_with};

/// A colour image of which each pixel is a function of its place and of `number`.
pub fn picture(width: u32, height: u32, number: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([
            x * 5 + number,
            y * 7 + number * 3,
            (x + y) * 4 + number * 11,
        ]
        .map(|v| (v % 256) as u8))
    })
}

pub fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

pub fn png(number: u32) -> Vec<u8> {
    encoded(picture(16, 16, number), ImageFormat::Png)
}

/// A JPEG file with the EXIF orientation `turned` (1 to 8).
pub fn turned(image: &RgbImage, turned: u8) -> Vec<u8> {
    // Big-endian TIFF, one entry: Orientation, SHORT, one value.
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([turned, 0, 0, 0, 0, 0, 0]);
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 100)
        .encode(
            image,
            image.width(),
            image.height(),
            ExtendedColorType::Rgb8,
        )
        .unwrap();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&file[..2], &[0xff, 0xe1], &length, &exif, &file[2..]].concat()
}

pub fn grey(number: u8) -> Vec<u8> {
    let image = GrayImage::from_fn(16, 16, |x, y| image::Luma([number + (x * y) as u8]));
    encoded(image, ImageFormat::Png)
}

/// Writes a file and the folders above it.
pub fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Options whose cache is in `folder`.
pub fn options(folder: &Path) -> ReadOptions {
    ReadOptions {
        granularity: 4,
        cache: Cache::In(folder.join("cache")),
        ..ReadOptions::default()
    }
}

/// What is read of `images` in `folder`, the cache beside it.
pub fn read(folder: &Path) -> Result<Dataset, String> {
    read_with(&folder.join("images"), &options(folder)).map_err(|e| e.to_string())
}

/// All training pixels.
pub fn pixels(set: &Dataset) -> Vec<u8> {
    set.train.read_range(0..set.train.len()).unwrap()
}

/// Channels first.
pub fn planes(image: &RgbImage) -> Vec<u8> {
    (0..3)
        .flat_map(|c| image.pixels().map(move |p| p.0[c]))
        .collect()
}

/// All images, sorted: a part that is held out leaves them in an order of its own.
pub fn sorted(set: &Dataset) -> Vec<Vec<u8>> {
    let parts = [&set.train, &set.test];
    let mut all: Vec<Vec<u8>> = parts
        .iter()
        .flat_map(|part| (0..part.len()).map(|i| part.read_range(i..i + 1).unwrap()))
        .collect();
    all.sort();
    all
}

/// A chunk of a WebP file.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut out = [&name[..], &(data.len() as u32).to_le_bytes(), data].concat();
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

/// A WebP film whose frames are `frames`, of one size, each in place of the one before.
pub fn film(frames: &[RgbImage]) -> Vec<u8> {
    let three = |v: u32| v.to_le_bytes()[..3].to_vec();
    let (width, height) = frames[0].dimensions();
    let size = [three(width - 1), three(height - 1)].concat();
    let mut chunks = vec![
        chunk(b"VP8X", &[&[2, 0, 0, 0][..], &size].concat()),
        chunk(b"ANIM", &[0; 6]),
    ];
    for frame in frames {
        let still = encoded(frame.clone(), ImageFormat::WebP);
        let head = [&[0; 6][..], &size, &three(100), &[2]].concat();
        chunks.push(chunk(b"ANMF", &[&head[..], &still[12..]].concat()));
    }
    let body = [&b"WEBP"[..], &chunks.concat()].concat();
    chunk(b"RIFF", &body)
}

/// A baseline JPEG file of 16 x 16 pixels of four components, as Adobe's programs write CMYK: 255 is no ink.
pub fn cmyk(inks: [u8; 4]) -> Vec<u8> {
    let segment = |kind: u8, data: &[u8]| {
        let length = (data.len() as u16 + 2).to_be_bytes();
        [&[0xff, kind][..], &length, data].concat()
    };
    let mut file = vec![0xff, 0xd8];
    file.extend(segment(0xee, b"Adobe\0\x64\0\0\0\0\0"));
    file.extend(segment(0xdb, &[&[0][..], &[1; 64]].concat()));
    let components = (1..=4).flat_map(|id| [id, 0x11, 0]);
    let frame: Vec<u8> = [8, 0, 16, 0, 16, 4].into_iter().chain(components).collect();
    file.extend(segment(0xc0, &frame));
    // Twelve codes of four bits for the sizes of DC values; one bit ends a block.
    let mut dc = [0; 29];
    dc[4] = 12;
    (0..12).for_each(|i| dc[17 + i] = i as u8);
    file.extend(segment(0xc4, &dc));
    let mut ac = [0; 18];
    (ac[0], ac[1]) = (0x10, 1);
    file.extend(segment(0xc4, &ac));
    file.extend(segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]));
    let mut bits = Vec::new();
    for block in 0..4 {
        for ink in inks {
            // Later blocks are as the first one.
            let value = if block == 0 {
                8 * (i32::from(ink) - 128)
            } else {
                0
            };
            let size = 32 - value.unsigned_abs().leading_zeros();
            let code = if value < 0 {
                value + (1 << size) - 1
            } else {
                value
            };
            bits.extend((0..4).rev().map(|i| size >> i & 1));
            bits.extend((0..size).rev().map(|i| code as u32 >> i & 1));
            bits.push(0);
        }
    }
    bits.resize(bits.len().next_multiple_of(8), 1);
    for byte in bits
        .chunks(8)
        .map(|byte| byte.iter().fold(0, |b, bit| b << 1 | *bit as u8))
    {
        file.push(byte);
        file.extend((byte == 0xff).then_some(0));
    }
    [file, vec![0xff, 0xd9]].concat()
}
