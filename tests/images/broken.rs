//! Files that are no sound images.

use image::{GrayImage, ImageFormat};
use semivq::data::{ReadOptions, read_with};

use super::make::{encoded, options, picture, png, put, read, turned};

/// One bad file among sound ones is an error that names it and how to go on.
fn refused(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..4 {
        put(folder.path(), &format!("images/good{i}.png"), png(i));
    }
    put(folder.path(), &format!("images/{name}"), bytes);
    let error = read(folder.path()).unwrap_err();
    assert!(
        error.contains(&format!("{name}: ")) && error.contains("`skip_bad`"),
        "{error}"
    );
    assert!(!error.contains('\n'), "{error}");
    let skip = ReadOptions {
        skip_bad: true,
        ..options(folder.path())
    };
    let set = read_with(&folder.path().join("images"), &skip).unwrap();
    assert_eq!(set.train.len() + set.test.len(), 4, "{name}");
    let note = set.about.notes.last().unwrap();
    assert!(
        note.starts_with("1 image was left out: ") && note.contains(name),
        "{note}"
    );
    error
}

#[test]
fn what_is_broken_is_named() {
    let jpeg = turned(&picture(16, 16, 5), 1);
    let sound = png(5);
    let mut wrong_sum = sound.clone();
    wrong_sum[8 + 8 + 13] ^= 1;
    let webp = encoded(picture(16, 16, 5), ImageFormat::WebP);
    let bmp = encoded(picture(16, 16, 5), ImageFormat::Bmp);
    for (name, bytes, want) in [
        ("short.jpg", &jpeg[..jpeg.len() - 12], "its end is missing"),
        ("head.jpg", &jpeg[..30], "no readable JPEG"),
        ("short.png", &sound[..sound.len() / 2], "no readable PNG"),
        ("sum.png", &wrong_sum, "no readable PNG"),
        ("short.webp", &webp[..webp.len() / 2], "no readable WebP"),
        ("short.bmp", &bmp[..bmp.len() / 2], "no readable BMP"),
        ("empty.png", b"", "is empty"),
        (
            "text.png",
            b"these are words",
            "is no readable PNG, JPEG, WebP or BMP image",
        ),
        (
            "film.jpg",
            b"GIF89a\x10\0\x10\0\0\0\0;",
            "is no readable PNG, JPEG, WebP or BMP image",
        ),
    ] {
        let error = refused(name, bytes);
        assert!(error.contains(want), "{name}: {error}");
    }
}

/// Sizes that only a header has are refused before anything is allocated.
#[test]
fn huge_dimensions_are_refused_by_the_header() {
    let mut bmp = encoded(picture(16, 16, 5), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    let error = refused("huge.bmp", &bmp);
    assert!(
        error.contains("huge.bmp: is 60000 x 60000, at most 67108864 pixels"),
        "{error}"
    );
    let long = encoded(GrayImage::new(1, 4), ImageFormat::Png);
    let mut png = long.clone();
    png[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..29]);
    png[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let error = refused("huge.png", &png);
    assert!(error.contains("huge.png: is 100000 x 100000"), "{error}");
}

#[test]
fn one_in_a_thousand_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let sound = png(3);
    for i in 0..1000 {
        put(
            folder.path(),
            &format!("images/{}/{i:03}.png", i % 7),
            &sound,
        );
    }
    // The head is sound: it is found when its pixels are decoded.
    put(
        folder.path(),
        "images/4/543.png",
        &sound[..sound.len() - 20],
    );
    let error = read(folder.path()).unwrap_err();
    assert!(
        error.contains("4/543.png: is no readable PNG image"),
        "{error}"
    );
    let leftovers = std::fs::read_dir(folder.path().join("cache")).map_or(0, Iterator::count);
    assert_eq!(leftovers, 0, "a file of the cache was left");
    let skip = ReadOptions {
        skip_bad: true,
        ..options(folder.path())
    };
    let set = read_with(&folder.path().join("images"), &skip).unwrap();
    assert_eq!(set.train.len() + set.test.len(), 999);
}

#[test]
fn nothing_sound_is_an_error_even_so() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "images/a.png", "text");
    let skip = ReadOptions {
        skip_bad: true,
        ..options(folder.path())
    };
    let error = read_with(&folder.path().join("images"), &skip)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no image that can be read") && error.contains("a.png"),
        "{error}"
    );
}

/// Kinds of pixels beside 8 bits of grey or colour.
#[test]
fn sixteen_bits_and_palettes_are_read() {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/png");
    for name in ["rgb16", "grey16", "palette4", "rgba16", "la16"] {
        let folder = tempfile::tempdir().unwrap();
        for copy in ["a", "b"] {
            let bytes = std::fs::read(cases.join(format!("{name}.png"))).unwrap();
            put(folder.path(), &format!("images/{copy}.png"), bytes);
        }
        let set = read(folder.path()).unwrap();
        let grey = name.starts_with("grey") || name.starts_with("la");
        assert_eq!(set.shape(), [if grey { 1 } else { 3 }, 4, 8], "{name}");
    }
}
