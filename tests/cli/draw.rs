//! Pictures that are drawn: `prior`, `sample`, `interpolate`.

use std::path::Path;

use libtest_mimic::Failed;

use super::support::command::{bad, ensure, good, read, train, write_data};

const PRIOR: [&str; 10] = [
    "prior", "run", "--width", "16", "--blocks", "1", "--batch", "8", "--heads", "2",
];

fn prior<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&PRIOR[..], more].concat()
}

/// A prior that goes on is the whole one; what it draws is a function of the seed; other codes are refused.
pub fn drawn_pictures(folder: &Path) -> Result<(), Failed> {
    write_data(folder, 24);
    good(folder, &train("run", &["--steps", "3"]))?;
    let said = good(
        folder,
        &["sample", "run", "--count", "3", "--out", "counted"],
    )?;
    ensure(said.contains("from the codes' histogram"), &said)?;
    good(folder, &["sample", "run", "--count", "3", "--out", "again"])?;
    let picture = |name: &str| read(folder.join(name));
    for name in ["0.png", "2.png", "sheet.png"] {
        let [a, b] = ["counted", "again"].map(|out| picture(&format!("{out}/{name}")));
        ensure(a? == b?, format!("{name} differs with the same seed"))?;
    }
    bad(
        folder,
        &["sample", "run", "--top-k", "3"],
        2,
        "--top-k has no effect",
    )?;
    bad(
        folder,
        &["sample", "run", "--from", "prior"],
        1,
        "is not there: train it first",
    )?;
    bad(
        folder,
        &["sample", "run", "--count", "0"],
        2,
        "--count must be",
    )?;
    bad(
        folder,
        &prior(&["--resume"]),
        2,
        "--batch has no effect beside --resume",
    )?;
    bad(
        folder,
        &["prior", "run", "--resume"],
        1,
        "is not there: train it first",
    )?;
    bad(
        folder,
        &["prior", "run", "--heads", "7"],
        2,
        "--heads (7) must divide",
    )?;

    let said = good(folder, &prior(&["--steps", "12"]))?;
    ensure(said.contains("bits a code"), &said)?;
    let summary: serde_json::Value = serde_json::from_slice(&picture("run/prior.json")?)?;
    for name in ["test_bits", "train_bits", "histogram_bits"] {
        let bits = summary[name].as_f64();
        ensure(bits.is_some_and(|b| b > 0.0), format!("{name}: {bits:?}"))?;
    }
    bad(folder, &prior(&[]), 2, "is there already")?;
    bad(
        folder,
        &["prior", "run", "--resume", "--steps", "5"],
        2,
        "--steps (5) are less than the 12",
    )?;
    let said = good(folder, &["sample", "run", "--count", "2", "--seed", "4"])?;
    ensure(said.contains("2 pictures from the prior"), &said)?;
    let first = picture("run/samples/sheet.png")?;
    good(
        folder,
        &[
            "sample", "run", "--count", "2", "--seed", "4", "--from", "prior",
        ],
    )?;
    ensure(
        first == picture("run/samples/sheet.png")?,
        "the same seed draws the same",
    )?;
    good(
        folder,
        &[
            "sample",
            "run",
            "--count",
            "2",
            "--temperature",
            "0",
            "--top-k",
            "5",
            "--out",
            "cold",
        ],
    )?;
    ensure(
        picture("cold/0.png")? == picture("cold/1.png")?,
        "at temperature 0 all are the likeliest",
    )?;

    good(
        folder,
        &[
            "interpolate",
            "run",
            "run/samples/0.png",
            "run/samples/1.png",
            "--count",
            "2",
        ],
    )?;
    picture("run/interpolation.png")?;
    bad(
        folder,
        &[
            "interpolate",
            "run",
            "run/samples/0.png",
            "run/samples/sheet.png",
        ],
        1,
        "both must be of one size",
    )?;
    bad(
        folder,
        &[
            "interpolate",
            "run",
            "run/samples/0.png",
            "run/samples/1.png",
            "--count",
            "1",
        ],
        2,
        "--count must be",
    )?;

    good(folder, &["train", "--resume", "run", "--steps", "5"])?;
    bad(
        folder,
        &["sample", "run"],
        1,
        "is another model now, of step 5",
    )?;
    good(folder, &prior(&["--steps", "2", "--overwrite"]))?;
    good(folder, &["sample", "run", "--count", "1"])?;
    std::fs::write(folder.join("run/prior.safetensors"), b"nothing")?;
    bad(
        folder,
        &["sample", "run"],
        1,
        "no complete safetensors file",
    )
}
