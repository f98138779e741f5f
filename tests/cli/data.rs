//! `semivq data`, and training on folders of images and built-in scenes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use libtest_mimic::Failed;

use super::support::command::{bad, ensure, good, read};

/// Images of a colour of their class, 40 x 30, seven each.
fn images(folder: &Path) {
    for (class, base) in [("blue", [20, 40, 200]), ("red", [200, 40, 20])] {
        std::fs::create_dir_all(folder.join("images").join(class)).unwrap();
        for i in 0..7_u8 {
            let image = image::RgbImage::from_fn(40, 30, |x, y| {
                image::Rgb(base.map(|v| v + i + (x ^ y) as u8 / 4))
            });
            image
                .save(folder.join(format!("images/{class}/{i}.png")))
                .unwrap();
        }
    }
}

/// What is there is said, and drawn.
pub fn data_is_described(folder: &Path) -> Result<(), Failed> {
    images(folder);
    for (args, wants) in [
        (
            &["data"][..],
            &[
                "built-in glyphs: built in",
                "28 x 28, grey; 8192 to train, 1024 to test",
                "models: simple",
                "kept on the GPU",
                "sheet: runs/data-glyphs.png",
            ][..],
        ),
        (
            &["data", "scenes", "--image-size", "64", "--out", "s.png"],
            &[
                "64 x 64, colour",
                "5; meadow 1639, sea 1639, desert 1638",
                "sheet: s.png",
            ],
        ),
        (
            &["data", "data"],
            &[
                "data: IDX files",
                "8 x 12, grey; 40 to train, 13 to test",
                "classes: 10; 0 4",
            ],
        ),
        (
            &["data", "images"],
            &[
                "folder of images, in 2 classes",
                "64 x 64, colour; 13 to train, 1 to test",
                "cache: ",
                "note: images of 40 x 30 were resized and cropped to 64 x 64; another size with --image-size",
            ],
        ),
        (
            &["data", "images", "--image-size", "16"],
            &["16 x 16, colour"],
        ),
    ] {
        let said = good(folder, args)?;
        for want in wants {
            ensure(said.contains(want), format!("{args:?}: {said}"))?;
        }
    }
    for sheet in ["runs/data-glyphs.png", "s.png", "runs/data-images.png"] {
        ensure(
            image::open(folder.join(sheet)).is_ok(),
            format!("{sheet} is no picture"),
        )?;
    }
    let config = folder.join("data/train-labels-idx1-ubyte");
    let before = read(config.clone())?;
    for (args, code, want) in [
        (&["data", "nowhere"][..], 1, "nowhere: is no folder"),
        (
            &["data", "data", "--out", "data/train-labels-idx1-ubyte"],
            2,
            "is no PNG and would be replaced; choose another --out",
        ),
        (
            &["data", "data", "--image-size", "16"],
            2,
            "--image-size has no effect",
        ),
        (
            &["data", "data", "--skip-bad"],
            2,
            "--skip-bad has no effect",
        ),
        (
            &["data", "scenes", "--image-size", "48"],
            2,
            "--image-size must be 32 or 64",
        ),
        (
            &["data", "--image-size", "32"],
            2,
            "--image-size must be 28",
        ),
        (
            &["data", "images", "--image-size", "30"],
            2,
            "--image-size must be a multiple of 4",
        ),
        (
            &["data", "images", "--image-size", "x"],
            2,
            "--image-size must be",
        ),
        (&["data", "--adapter", "0"], 2, "--adapter has no effect"),
    ] {
        bad(folder, args, code, want)?;
    }
    ensure(read(config)? == before, "a file was replaced")
}

/// A run on a folder goes on, is evaluated, and takes images of every kind; a bad image ends it by its name.
pub fn folders_train(folder: &Path) -> Result<(), Failed> {
    images(folder);
    let args =
        "train --data images --image-size 16 --batch 4 --num-codes 8 --flip --steps 2 --out a";
    let words = |text: &'static str| text.split(' ').collect::<Vec<_>>();
    let said = good(folder, &words(args))?;
    ensure(said.contains("note: images of 40 x 30 were resized"), said)?;
    good(folder, &words("train --resume a --steps 4"))?;
    let whole = args.replace("--steps 2 --out a", "--steps 4 --out b");
    good(folder, &whole.split(' ').collect::<Vec<_>>())?;
    let state = |run: &str| read(folder.join(run).join("checkpoint.safetensors"));
    ensure(
        state("a")? == state("b")?,
        "a run with flips that went on is another",
    )?;
    good(folder, &words("eval a"))?;
    for end in ["jpg", "webp", "bmp"] {
        let name = format!("x.{end}");
        image::RgbImage::new(16, 20).save(folder.join(&name))?;
        good(folder, &["reconstruct", "a", &name])?;
    }
    std::fs::write(folder.join("images/red/3.png"), "text")?;
    let bad_image = "train --data images --image-size 16 --batch 4 --steps 1 --out never";
    bad(
        folder,
        &words(bad_image),
        1,
        "images/red/3.png: is no readable",
    )?;
    bad(
        folder,
        &words(bad_image),
        1,
        "leave out all such images with --skip-bad",
    )?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )?;
    let skip = format!("{bad_image} --skip-bad").replace("never", "c");
    let said = good(folder, &skip.split(' ').collect::<Vec<_>>())?;
    ensure(said.contains("note: 1 image was left out: "), said)?;
    let scenes = "train --data scenes --batch 4 --steps 1 --num-codes 8 --out d";
    let said = good(folder, &words(scenes))?;
    ensure(said.contains("on built-in scenes: 8192 train"), said)?;
    good(folder, &words("eval d"))?;
    good(folder, &words("train --resume d --steps 2"))?;
    Ok(())
}
