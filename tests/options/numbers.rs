//! Numbers out of range, on the command line and in files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::support::command::{bad, ensure, good, read, train};
use super::{over, words};

/// What PyTorch's optimisers refuse (`torch.optim.AdamW`, `SGD`), and what float32 or a buffer
/// cannot hold.
pub fn numbers_out_of_range(folder: &Path) -> Result<(), Failed> {
    for (given, want) in [
        ("--beta1 1", "--beta1 must be in [0, 1), not 1"),
        ("--beta1 nan", "--beta1 must be in [0, 1), not nan"),
        ("--beta1 -0.5", "--beta1 must be in [0, 1), not -0.5"),
        ("--beta1=-0.5", "--beta1 must be in [0, 1), not -0.5"),
        ("--beta2 1", "--beta2 must be in [0, 1), not 1"),
        ("--beta2 0.99999999", "which float32 rounds to 1"),
        (
            "--weight-decay nan",
            "--weight-decay must be a number of at least 0, not nan",
        ),
        ("--weight-decay=-1", "at least 0, not -1"),
        ("--weight-decay inf", "at least 0, not inf"),
        (
            "--optimizer sgd --momentum=-1",
            "--momentum must be in [0, 1), not -1",
        ),
        (
            "--optimizer sgd --momentum 2",
            "--momentum must be in [0, 1), not 2",
        ),
        ("--lr 1e308", "--lr must be a number above 0, not 1e308"),
        ("--lr inf", "--lr must be a number above 0, not inf"),
        ("--lr 1e-60", "which float32 rounds to 0"),
        (
            "--seed -1",
            "--seed must be a whole number from 0 to 18446744073709551615, not -1",
        ),
        (
            "--seed 18446744073709551616",
            "--seed must be a whole number",
        ),
        (
            "--steps 0",
            "--steps must be a whole number from 1 to 4294967295, not 0",
        ),
        ("--steps 4294967296", "--steps must be"),
        ("--log-every 0", "--log-every must be a whole number from 1"),
        (
            "--commitment-weight -1",
            "--commitment-weight must be a number of at least 0, not -1",
        ),
        ("--commitment-weight nan", "--commitment-weight must be"),
        (
            "--feature-size 0",
            "--feature-size must be a whole number from 1 to 16384, not 0",
        ),
        ("--feature-size 16385", "from 1 to 16384, not 16385"),
        ("--beta -0.1", "--beta must be in [0, 1], not -0.1"),
        ("--beta nan", "--beta must be in [0, 1], not nan"),
        ("--sync-nu inf", "--sync-nu must be a number of at least 0"),
        (
            "--affine-lr -2",
            "--affine-lr must be a number of at least 0",
        ),
        (
            "--affine-lr 1 --affine-groups 0",
            "--affine-groups must be a whole number from 1",
        ),
        (
            "--use-learnable-std --penalty-weight nan",
            "--penalty-weight must be",
        ),
        (
            "--replace-freq 16777217",
            "--replace-freq must be a whole number from 0 to 16777216",
        ),
        (
            "--ema-decay 1",
            "--ema-decay must be in [0, 1), for example 0.99, or none, not 1",
        ),
        ("--ema-decay -1", "--ema-decay must be in [0, 1)"),
        ("--dim 2", "--dim must be 1"),
        (
            "--beta 1 --inplace-optimizer 1,1",
            "a momentum in [0, 1), not 1,1",
        ),
        (
            "--beta 1 --inplace-optimizer inf,0.9",
            "--inplace-optimizer must be",
        ),
        // What was typed, not what float32 makes of it.
        (
            "--beta 1 --inplace-optimizer 1e39,0.5",
            "a momentum in [0, 1), not 1e39,0.5",
        ),
        // Nothing that is typed is dropped.
        ("--beta 1 --inplace-optimizer 1,x,0.9", "want LR,MOMENTUM"),
        ("--beta 1 --inplace-optimizer 1,0.9,", "want LR,MOMENTUM"),
        ("--beta 1 --inplace-optimizer ,1,0.9", "want LR,MOMENTUM"),
        ("--beta 1 --inplace-optimizer 1,,0.9", "want LR,MOMENTUM"),
        ("--fsq-levels 8,,5", "want numbers, for example 8,6,5"),
        ("--fsq-levels -8,5", "want numbers, for example 8,6,5"),
        (
            "--fsq-levels 2,8",
            "at least 3, their product at most 16777216, not [2, 8]",
        ),
    ] {
        bad(folder, &train("never", &words(given)), 2, want)?;
    }
    // The small run has these already.
    for (given, want) in [
        (
            "--num-codes 0",
            "--num-codes must be a whole number from 1 to 16777216, not 0",
        ),
        ("--num-codes 16777217", "not 16777217"),
        (
            "--batch 0",
            "--batch must be a whole number from 1 to 16777216, not 0",
        ),
        ("--batch -4", "--batch must be"),
        (
            "--num-codes 1 --replace-freq 1",
            "--replace-freq has no effect: with a --num-codes of 1",
        ),
        // These make the number of codes, which nobody gave.
        ("--fsq-levels 0", "--fsq-levels must be"),
        ("--fsq-levels 5000,5000", "--fsq-levels must be"),
        ("--fsq-levels 65536,65536", "--fsq-levels must be"),
        ("--fsq-levels 300,300,300", "--fsq-levels must be"),
    ] {
        let args = [&words("train --out never")[..], &words(given)].concat();
        bad(folder, &args, 2, want)?;
    }
    bad(
        folder,
        &["bench", "--batch", "0"],
        2,
        "--batch must be a whole number from 1",
    )?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )
}

/// A file's options are in range or refused by the name they have in it; what it holds without
/// effect, as all files do, is no fault.
pub fn files_of_options(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "1"]))?;
    let path = folder.join("a/config.json");
    let whole: Value = serde_json::from_slice(&read(path.clone())?)?;
    for (change, want) in [
        (
            json!({"optimizer": {"beta1": 1.0}}),
            "optimizer.beta1 must be in [0, 1), not 1",
        ),
        (
            json!({"optimizer": {"eps": 0}}),
            "optimizer.eps must be a number above 0, not 0",
        ),
        (
            json!({"optimizer": {"weight_decay": null}}),
            "optimizer.weight_decay must be",
        ),
        (
            json!({"vq": {"num_codes": -1}}),
            "vq.num_codes must be a whole number from 1",
        ),
        (json!({"vq": {"num_codes": 1.5}}), "not 1.5"),
        (json!({"lr": 1e39}), "lr must be a number above 0"),
        (json!({"seed": -1}), "seed must be a whole number from 0"),
        (
            json!({"vq": {"ema_decay": 2}}),
            "vq.ema_decay must be in [0, 1)",
        ),
        (
            json!({"vq": {"affine_groups": 3}}),
            "affine_groups (3) must divide num_codes (16)",
        ),
    ] {
        std::fs::write(&path, over(&whole, &change).to_string())?;
        for command in ["eval a", "train --resume a --steps 2"] {
            let want = format!("a/config.json: is no configuration of a run ({want}");
            let want = if want.contains("not 1.5") {
                "not 1.5".into()
            } else {
                want
            };
            bad(folder, &words(command), 1, &want)?;
        }
    }
    std::fs::write(&path, whole.to_string())?;
    good(folder, &words("train --resume a --steps 2")).map(|_| ())
}
