//! How images may lie in a folder, and what becomes of sizes, colours and orientation.

use image::imageops;
use image::{ImageFormat, Rgba, RgbaImage};
use semivq::data::{ReadOptions, read_with};

use super::make::{
    cmyk, encoded, film, grey, options, picture, pixels, planes, png, put, read, sorted, turned,
};

#[test]
fn flat_and_by_class_with_and_without_parts() {
    for (names, classes, parts) in [
        (&["a.png", "b.PNG", "c.png"][..], &[][..], (2, 1)),
        (
            &["cat/a.png", "cat/b.png", "dog/c.png"],
            &["cat", "dog"],
            (2, 1),
        ),
        // One folder of all is no class.
        (&["all/a.png", "all/b.png", "all/c.png"], &[], (2, 1)),
        (&["a.png", "dog/b.png", "dog/c.png"], &[], (2, 1)),
        (&["train/a.png", "train/b.png", "test/c.png"], &[], (2, 1)),
        (
            &["train/x/a.png", "train/y/b.png", "val/x/c.png"],
            &["x", "y"],
            (2, 1),
        ),
        (
            &[
                "train/x/images/a.png",
                "train/y/images/b.png",
                "test/x/c.png",
                "val/x/d.png",
            ],
            &["x", "y"],
            (2, 1),
        ),
        // Without a train part the rest is one.
        (
            &["test/a.png", "test/b.png", "more/c.png"],
            &["more", "test"],
            (2, 1),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (i, name) in names.iter().enumerate() {
            put(folder.path(), &format!("images/{name}"), png(i as u32));
        }
        // What is no image is passed over.
        put(folder.path(), "images/readme.txt", "text");
        put(folder.path(), "images/.hidden/z.png", "text");
        let set = read(folder.path()).unwrap();
        assert_eq!(set.about.classes, classes, "{names:?}");
        assert_eq!((set.train.len(), set.test.len()), parts, "{names:?}");
        assert_eq!(set.shape(), [3, 16, 16]);
        assert!(set.about.notes.is_empty(), "{:?}", set.about.notes);
        assert_eq!(
            set.train.label(0).is_some(),
            !classes.is_empty(),
            "{names:?}"
        );
        let own = |i: usize| planes(&picture(16, 16, i as u32));
        if names[0].starts_with("train/") {
            assert_eq!(pixels(&set), [own(0), own(1)].concat());
            assert_eq!(set.test.read_range(0..1).unwrap(), own(2));
            let labels = [set.train.label(0), set.train.label(1), set.test.label(0)];
            let want = if classes.is_empty() {
                [None; 3]
            } else {
                [Some(0), Some(1), Some(0)]
            };
            assert_eq!(labels, want);
        } else {
            let mut want = vec![own(0), own(1), own(2)];
            want.sort();
            assert_eq!(sorted(&set), want);
        }
    }
}

#[test]
fn tiny_imagenet_has_its_classes_in_a_list() {
    let folder = tempfile::tempdir().unwrap();
    for (name, i) in [
        ("train/n01/images/n01_0.JPEG", 0),
        ("train/n02/images/n02_0.JPEG", 1),
        ("val/images/val_0.JPEG", 2),
        ("val/images/val_1.JPEG", 3),
        ("test/images/test_0.JPEG", 4),
    ] {
        put(
            folder.path(),
            &format!("images/{name}"),
            encoded(picture(64, 64, i), ImageFormat::Jpeg),
        );
    }
    let list = "val_0.JPEG\tn02\t0\t0\t61\t61\nval_1.JPEG\tn01\t1\t1\t9\t9\n";
    put(folder.path(), "images/val/val_annotations.txt", list);
    let set = read(folder.path()).unwrap();
    assert_eq!(
        (set.train.len(), set.test.len(), set.shape()),
        (2, 2, [3, 64, 64])
    );
    let labels = [
        set.train.label(0),
        set.train.label(1),
        set.test.label(0),
        set.test.label(1),
    ];
    assert_eq!(labels, [Some(0), Some(1), Some(1), Some(0)]);
}

#[test]
fn every_format_is_the_same_image() {
    let image = picture(24, 16, 9);
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
        let folder = tempfile::tempdir().unwrap();
        let end = format.extensions_str()[0];
        for name in ["a", "b"] {
            put(
                folder.path(),
                &format!("images/{name}.{end}"),
                encoded(image.clone(), format),
            );
        }
        let set = read(folder.path()).unwrap();
        assert_eq!(
            (set.shape(), pixels(&set)),
            ([3, 16, 24], planes(&image)),
            "{format:?}"
        );
    }
    // What the name says of the format is of no consequence.
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jpg", "b.webp"] {
        put(
            folder.path(),
            &format!("images/{name}"),
            encoded(image.clone(), ImageFormat::Png),
        );
    }
    assert!(pixels(&read(folder.path()).unwrap()) == planes(&image));
}

#[test]
fn photos_are_turned_upright() {
    // Four areas of plain colour, which JPEG keeps.
    let mut image = picture(32, 16, 0);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        pixel.0 = match (x < 16, y < 8) {
            (true, true) => [250, 20, 20],
            (false, true) => [20, 200, 20],
            (true, false) => [20, 20, 240],
            (false, false) => [230, 230, 20],
        };
    }
    for orientation in 1..=8 {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            put(
                folder.path(),
                &format!("images/{name}.jpg"),
                turned(&image, orientation),
            );
        }
        let upright = match orientation {
            1 => image.clone(),
            2 => imageops::flip_horizontal(&image),
            3 => imageops::rotate180(&image),
            4 => imageops::flip_vertical(&image),
            5 => imageops::flip_horizontal(&imageops::rotate90(&image)),
            6 => imageops::rotate90(&image),
            7 => imageops::flip_horizontal(&imageops::rotate270(&image)),
            _ => imageops::rotate270(&image),
        };
        let set = read(folder.path()).unwrap();
        let (width, height) = upright.dimensions();
        assert_eq!(
            set.shape(),
            [3, height as usize, width as usize],
            "{orientation}"
        );
        let far = pixels(&set)
            .iter()
            .zip(planes(&upright))
            .map(|(a, b)| a.abs_diff(b))
            .max();
        assert!(far < Some(40), "orientation {orientation}: off by {far:?}");
    }
}

#[test]
fn grey_folders_are_grey_and_one_colour_makes_all_colour() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..3 {
        put(folder.path(), &format!("images/{i}.png"), grey(i));
    }
    assert_eq!(read(folder.path()).unwrap().shape(), [1, 16, 16]);
    let colour = ReadOptions {
        channels: Some(3),
        ..options(folder.path())
    };
    let set = read_with(&folder.path().join("images"), &colour).unwrap();
    assert_eq!(set.shape(), [3, 16, 16]);
    let image = set.train.read_range(0..1).unwrap();
    assert_eq!(image[..256], image[512..]);
    put(folder.path(), "images/3.png", png(3));
    assert_eq!(read(folder.path()).unwrap().shape(), [3, 16, 16]);
}

#[test]
fn what_is_transparent_is_on_white() {
    let folder = tempfile::tempdir().unwrap();
    let image = RgbaImage::from_fn(8, 8, |x, _| Rgba([10, 20, 30, if x < 4 { 0 } else { 255 }]));
    for name in ["a", "b"] {
        put(
            folder.path(),
            &format!("images/{name}.png"),
            encoded(image.clone(), ImageFormat::Png),
        );
    }
    let set = read(folder.path()).unwrap();
    assert_eq!(pixels(&set)[..8], [255, 255, 255, 255, 10, 10, 10, 10]);
}

#[test]
fn several_sizes_become_one_which_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (width, height)) in [(100, 80), (300, 200), (64, 64), (20, 33)]
        .into_iter()
        .enumerate()
    {
        let image = picture(width, height, i as u32);
        put(
            folder.path(),
            &format!("images/{i}.png"),
            encoded(image, ImageFormat::Png),
        );
    }
    let set = read(folder.path()).unwrap();
    assert_eq!(set.shape(), [3, 64, 64]);
    let want = "images of 4 sizes, 20 x 33 to 300 x 200, were resized and cropped to 64 x 64; another size with `image_size`";
    assert_eq!(set.about.notes, [want]);
    // One that needs neither stays as it is.
    assert!(sorted(&set).contains(&planes(&picture(64, 64, 2))));
    let of = |size: usize| {
        let options = ReadOptions {
            image_size: Some(size),
            ..options(folder.path())
        };
        read_with(&folder.path().join("images"), &options)
    };
    assert_eq!(of(32).unwrap().shape(), [3, 32, 32]);
    let error = of(30).unwrap_err().to_string();
    assert!(
        error.contains("image_size must be a multiple of 4"),
        "{error}"
    );
}

/// A wide image keeps its middle, and a plain one its colour.
#[test]
fn the_middle_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut image = picture(96, 32, 0);
    for (x, _, pixel) in image.enumerate_pixels_mut() {
        pixel.0 = if (32..64).contains(&x) {
            [200, 100, 50]
        } else {
            [0, 0, 0]
        };
    }
    for name in ["a", "b"] {
        put(
            folder.path(),
            &format!("images/{name}.png"),
            encoded(image.clone(), ImageFormat::Png),
        );
    }
    let options = ReadOptions {
        image_size: Some(16),
        ..options(folder.path())
    };
    let set = read_with(&folder.path().join("images"), &options).unwrap();
    let want = [[200; 256], [100; 256], [50; 256]].concat();
    assert_eq!(pixels(&set), want);
    assert!(
        set.about.notes[0].starts_with("images of 96 x 32 were resized"),
        "{:?}",
        set.about.notes
    );
}

#[test]
fn a_folder_without_images_says_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "images/notes.txt", "text");
    put(folder.path(), "images/film.gif", "GIF89a");
    let error = read(folder.path()).unwrap_err();
    for want in ["no images", "it holds film.gif, notes.txt", "PNG"] {
        assert!(error.contains(want), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_back_is_named() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "images/cat/a.png", png(1));
    std::os::unix::fs::symlink("..", folder.path().join("images/cat/round")).unwrap();
    let error = read(folder.path()).unwrap_err();
    assert!(error.contains("cat/round: is a link back to"), "{error}");
    // One that leads elsewhere is followed.
    std::fs::remove_file(folder.path().join("images/cat/round")).unwrap();
    put(folder.path(), "other/b.png", png(2));
    std::os::unix::fs::symlink("../other", folder.path().join("images/dog")).unwrap();
    let set = read(folder.path()).unwrap();
    assert_eq!(set.about.classes, ["cat", "dog"]);
}

#[test]
fn of_a_film_the_first_frame_is_read() {
    let frames = [picture(16, 16, 4), picture(16, 16, 90)];
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        put(folder.path(), &format!("images/{name}.webp"), film(&frames));
    }
    assert!(pixels(&read(folder.path()).unwrap()) == planes(&frames[0]));
}

#[test]
fn printers_colours_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        put(
            folder.path(),
            &format!("images/{name}.jpg"),
            cmyk([200, 100, 40, 255]),
        );
    }
    let set = read(folder.path()).unwrap();
    let found = pixels(&set);
    for (c, want) in [200_u8, 100, 40].into_iter().enumerate() {
        let plane = &found[256 * c..256 * (c + 1)];
        assert!(
            plane.iter().all(|p| p.abs_diff(want) <= 2),
            "{:?}",
            &plane[..4]
        );
    }
}
