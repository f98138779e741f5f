//! Without its features the library is the trainer alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::process::Command;

/// Names of the crates that the library is built with on this system; `depth` as cargo takes it.
fn crates(features: &[&str], depth: &str) -> BTreeSet<String> {
    let tree = "tree --package semivq --locked --edges normal --prefix none --format {p} --depth";
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(tree.split(' '))
        .arg(depth)
        .args(features)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_trainer_alone_needs_nothing_of_the_program() {
    let bare = ["--no-default-features"];
    let direct = crates(&bare, "1");
    let want = [
        "base64",
        "bytemuck",
        "flate2",
        "futures-channel",
        "half",
        "libm",
        "safetensors",
        "semivq",
        "serde",
        "serde_json",
        "thiserror",
        "web-time",
        "wgpu",
    ];
    assert_eq!(direct.iter().map(String::as_str).collect::<Vec<_>>(), want);
    let all = crates(&bare, "99");
    for only in ["clap", "console", "ctrlc", "pollster", "shlex"] {
        assert!(!all.contains(only), "{only}");
    }
    let pictures = crates(&["--no-default-features", "--features", "pictures"], "1");
    let added: Vec<&String> = pictures.difference(&direct).collect();
    assert_eq!(
        added,
        [
            "dirs",
            "epaint_default_fonts",
            "image",
            "plotters",
            "rayon",
            "walkdir"
        ]
    );
    let compare = crates(&["--no-default-features", "--features", "compare"], "1");
    let more: Vec<&String> = compare.difference(&pictures).collect();
    assert_eq!(more, ["csv", "pollster", "strsim", "toml"]);
    for only in &added {
        assert!(!all.contains(*only), "{only}");
    }
}
