//! Files as users have them: other publishers' names, padded downloads, images of every kind, and
//! files that are not what they are called.

use std::io::Write as _;
use std::path::Path;

use libtest_mimic::Failed;

use super::support::command::{bad, ensure, good, idx, read, semivq, train};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same images under other names, compressed and padded as downloads are, train the same run.
pub fn names_of_data_sets(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("mnist", &["--steps", "2"]))?;
    let want = read(folder.join("mnist/metrics.jsonl"))?;
    let rename = |from: &str, to: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let bytes = read(folder.join("data").join(from))?;
        std::fs::remove_file(folder.join("data").join(from))?;
        std::fs::write(folder.join("data").join(to), change(bytes))?;
        Ok::<_, Failed>(())
    };
    // The source of the right value: gzip -d, which reads 512 zero bytes behind a stream silently.
    let padded = |bytes: Vec<u8>| [gzip(&bytes), vec![0; 512]].concat();
    let zipped = |bytes: Vec<u8>| gzip(&bytes);
    let [a, b] = ["train", "t10k"].map(|part| format!("{part}-images-idx3-ubyte"));
    let [dot_a, dot_b] = ["train", "t10k"].map(|part| format!("{part}-images.idx3-ubyte"));
    rename(&a, &dot_a, &|bytes| bytes)?;
    rename(&b, &dot_b, &|bytes| bytes)?;
    good(folder, &train("dot", &["--steps", "2"]))?;
    let part = |part: &str| format!("emnist-letters-{part}-images-idx3-ubyte.gz");
    rename(&dot_a, &part("train"), &padded)?;
    rename(&dot_b, &part("test"), &zipped)?;
    good(folder, &train("emnist", &["--steps", "2"]))?;
    for run in ["dot", "emnist"] {
        ensure(
            read(folder.join(run).join("metrics.jsonl"))? == want,
            format!("{run} trains another run"),
        )?;
    }
    let other = folder
        .join("data")
        .join("emnist-digits-train-images-idx3-ubyte");
    std::fs::write(&other, idx(3, &[1, 4, 4], 0..16))?;
    let args = train("never", &["--steps", "2"]);
    bad(
        folder,
        &args,
        1,
        "several data sets (emnist-digits, emnist-letters)",
    )?;
    std::fs::remove_file(&other)?;
    std::fs::rename(
        folder.join("data").join(part("test")),
        folder.join("data/test.gz"),
    )?;
    bad(
        folder,
        &args,
        1,
        "the folder holds emnist-letters-train-images-idx3-ubyte.gz, test.gz",
    )?;
    std::fs::rename(
        folder.join("data/test.gz"),
        folder.join("data").join(part("test")),
    )?;
    // What promises ten gigabytes is not inflated.
    let header = idx(3, &[10_485_760, 32, 32], std::iter::empty());
    std::fs::write(folder.join("data").join(part("test")), gzip(&header))?;
    bad(folder, &args, 1, "at most 4294967296 can be read")?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )
}

/// As many images as a binding holds, and more (EMNIST digits has 240,000): the run of data of which
/// there are few, since every image is the same.
pub fn more_data_than_a_binding_holds(folder: &Path) -> Result<(), Failed> {
    let mut losses = Vec::new();
    for count in [64, 171_196, 171_197, 240_000] {
        let image = (0..28 * 28).map(|i| (i % 28 * 7) as u8);
        let file = folder.join("data/train-images-idx3-ubyte");
        let images = idx(3, &[count, 28, 28], std::iter::empty());
        std::fs::write(
            &file,
            [images, image.collect::<Vec<_>>().repeat(count as usize)].concat(),
        )?;
        let few = idx(3, &[3, 28, 28], (0..3 * 28 * 28).map(|i| i as u8));
        std::fs::write(folder.join("data/t10k-images-idx3-ubyte"), few)?;
        for label in ["train", "t10k"] {
            let _ = std::fs::remove_file(folder.join(format!("data/{label}-labels-idx1-ubyte")));
        }
        let out = count.to_string();
        good(folder, &train(&out, &["--steps", "2"]))?;
        let metrics = String::from_utf8(read(folder.join(&out).join("metrics.jsonl"))?)?;
        let loss = |line: &str| -> Result<f64, Failed> {
            let line: serde_json::Value = serde_json::from_str(line)?;
            line["rec_loss"]
                .as_f64()
                .ok_or_else(|| "no rec_loss".into())
        };
        losses.push(metrics.lines().map(loss).collect::<Result<Vec<_>, _>>()?);
    }
    std::fs::remove_file(folder.join("data/train-images-idx3-ubyte"))?;
    let same = losses.windows(2).all(|pair| pair[0] == pair[1]);
    ensure(
        same && losses[0].len() == 2,
        format!("other losses: {losses:?}"),
    )
}

/// CIFAR's binary files, of both kinds: a file alone, and folders as the archives unpack them.
pub fn cifar(folder: &Path) -> Result<(), Failed> {
    let records = |labels: usize, count: usize| -> Vec<u8> {
        let record = |i: usize| {
            let pixels = (0..3072).map(move |p| ((p / 32 + 5 * i) % 256) as u8);
            vec![(i % 10) as u8; labels].into_iter().chain(pixels)
        };
        (0..count).flat_map(record).collect()
    };
    std::fs::create_dir(folder.join("fine"))?;
    std::fs::write(folder.join("fine/test.bin"), records(2, 30))?;
    std::fs::create_dir(folder.join("ten"))?;
    std::fs::write(folder.join("ten/data_batch_1.bin"), records(1, 20))?;
    std::fs::write(folder.join("ten/test_batch.bin"), records(1, 10))?;
    for (data, train, test) in [("fine", 27, 3), ("fine/test.bin", 27, 3), ("ten", 20, 10)] {
        let out = format!("run-{}", data.replace('/', "-"));
        let args = [
            "train",
            "--data",
            data,
            "--batch",
            "8",
            "--num-codes",
            "16",
            "--steps",
            "2",
            "--out",
            &out,
        ];
        let text = good(folder, &args)?;
        let want = format!("{train} train and {test} test images");
        ensure(
            text.contains(&want),
            format!("{text:?} does not say {want:?}"),
        )?;
        let text = good(folder, &["eval", &out])?;
        ensure(text.contains(&format!("test ({test} images)")), text)?;
        good(
            folder,
            &["reconstruct", &out, &format!("{out}/test-image.png")],
        )?;
    }
    std::fs::write(folder.join("ten/data_batch_2.bin"), records(2, 20))?;
    let args = ["train", "--data", "ten", "--steps", "2", "--out", "never"];
    bad(folder, &args, 1, "data_batch_2.bin: is of the other CIFAR")
}

/// What is no regular file is refused, not waited for.
#[cfg(unix)]
pub fn pipes_and_folders(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "1"]))?;
    let made = std::process::Command::new("mkfifo")
        .arg(folder.join("pipe"))
        .status()?;
    ensure(made.success(), "mkfifo failed")?;
    bad(folder, &["reconstruct", "a", "pipe"], 1, "pipe: is a pipe")?;
    bad(folder, &["encode", "a", "data"], 1, "data: is a folder")?;
    bad(folder, &["decode", "a", "pipe"], 1, "pipe: is a pipe")?;
    let file = "data/t10k-images-idx3-ubyte";
    std::fs::remove_file(folder.join(file))?;
    std::fs::rename(folder.join("pipe"), folder.join(file))?;
    bad(folder, &train("never", &[]), 1, "ubyte: is a pipe")
}

/// Colour and transparency reach a grey model as Pillow's `L` of the image on white.
pub fn images_of_every_kind(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2"]))?;
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/png");
    let values: serde_json::Value = serde_json::from_slice(&read(cases.join("values.json"))?)?;
    for name in ["rgb8", "rgba8", "la8", "palette4", "grey1", "rgba16"] {
        let grey: Vec<u8> = serde_json::from_value(values[name]["grey"].clone())?;
        let image = image::GrayImage::from_raw(8, 4, grey).ok_or("no image of 8 by 4")?;
        image.save(folder.join("pillow.png"))?;
        let given = cases.join(name).with_extension("png");
        good(folder, &["reconstruct", "a", "pillow.png"])?;
        good(folder, &["reconstruct", "a", &given.display().to_string()])?;
        let result = |name: &str| read(folder.join("a/reconstructed").join(name));
        ensure(
            result("pillow.png")? == result(&format!("{name}.png"))?,
            format!("{name} is not seen as Pillow sees it"),
        )?;
    }
    // The images that a run leaves for such trials.
    good(folder, &["reconstruct", "a", "a/test-image.png"])?;
    good(folder, &["encode", "a", "a/test-image.png"]).map(|_| ())
}

/// One line that names the file, whatever the decoder does.
pub fn images_that_cannot_be_read(folder: &Path) -> Result<(), Failed> {
    use base64::Engine as _;
    good(folder, &train("a", &["--steps", "1"]))?;
    // A palette of five bytes, on which png 0.18.1 panics.
    let text = "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAEAQMAAACTPww9AAAABVBMVEUAAAAAAGJm1AEAAAAQSURBVHicY2hi2M7Ax/AOAAhBAjaF\
                K4hSAAAAAElFTkSuQmCC";
    let bytes = base64::engine::general_purpose::STANDARD.decode(text)?;
    std::fs::write(folder.join("palette.png"), bytes)?;
    let output = semivq(folder, &["reconstruct", "a", "palette.png"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines = stderr
        .lines()
        .filter(|line| !line.contains("XDG_RUNTIME_DIR"));
    ensure(lines.count() == 1, format!("not one line: {stderr}"))?;
    for command in ["reconstruct", "encode"] {
        let run = |file: &str, want: &str| bad(folder, &[command, "a", file], 1, want);
        run("palette.png", "palette.png: is a damaged PNG image")?;
        image::GrayImage::new(2048, 2048).save(folder.join("wide.png"))?;
        run("wide.png", "wide.png: is too large for this device")?;
        image::GrayImage::new(4, 6_000_000).save(folder.join("tall.png"))?;
        run("tall.png", "tall.png: is 4 x 6000000, at most")?;
    }
    Ok(())
}

/// Mesa's device-select layer has nothing to say on a machine without a desktop.
pub fn nothing_on_standard_error(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "1"]))?;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_semivq"));
    if let Ok(adapter) = std::env::var("SEMIVQ_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    let output = command
        .current_dir(folder)
        .args(["eval", "a"])
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("NODEVICE_SELECT")
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(output.status.success() && text.is_empty(), text)
}
