//! Options that do nothing beside the others are refused, and no other ones.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use super::support::command::{bad, ensure, good, semivq, train};
use super::words;
use libtest_mimic::Failed;

/// Refused even where the value is the default.
pub fn given_without_effect(folder: &Path) -> Result<(), Failed> {
    for (given, want) in [
        (
            "--momentum 0.9",
            "--momentum has no effect: the optimizer adamw has none",
        ),
        ("--optimizer sgd --beta1 0.9", "--beta1 has no effect"),
        (
            "--optimizer sgd --beta1 0.5 --beta2 0.5",
            "--beta1 and --beta2 have no effect",
        ),
        (
            "--gamma-policy default",
            "gamma needs --use-learnable-gamma",
        ),
        (
            "--method vq --gamma-policy personalize",
            "--gamma-policy has no effect",
        ),
        ("--alter-penalty small", "--alter-penalty has no effect"),
        (
            "--method approach1 --alter-penalty small",
            "needs a --penalty-weight above 0",
        ),
        ("--penalty-weight 0", "which needs --use-learnable-std"),
        ("--affine-groups 1", "--affine-groups has no effect"),
        (
            "--using-statistics",
            "--using-statistics has no effect: it says how the codebook is affine, which needs --affine-lr above 0; \
             leave it out",
        ),
        (
            "--commitment-weight 0 --beta 0.5",
            "--beta has no effect: with a --commitment-weight of 0",
        ),
        (
            "--method approach1 --affine-lr 1",
            "--affine-lr has no effect",
        ),
        (
            "--method approach1 --using-statistics",
            "--using-statistics has no effect",
        ),
        ("--replace-policy self", "--replace-freq above 0"),
        (
            "--residual-shared",
            "--residual-shared has no effect: there is one codebook only",
        ),
        (
            "--method fsq --residual 2",
            "--residual has no effect: finite scalar quantisation",
        ),
        ("--no-vq --residual 2", "--residual have no effect"),
        (
            "--method fsq --kmeans-init",
            "--codebook-init has no effect",
        ),
        ("--placement raw", "put on vectors by --replace-freq"),
        ("--placement raw --replace-freq 3", "is the effective one"),
        (
            "--placement effective --affine-lr 1 --codebook-init kmeans",
            "puts both codes on the vector",
        ),
        (
            "--method ema --beta 1 --commitment-weight 3",
            "--commitment-weight has no effect",
        ),
        (
            "--method affine --affine-lr 0",
            "--method affine has no effect",
        ),
        (
            "--method ema --ema-decay none --codebook-init normal",
            "--method ema has no effect",
        ),
        (
            "--method simvq --simvq=false --estimator straight_through",
            "error: --method simvq has no effect",
        ),
        (
            "--method approach3 --use-learnable-gamma=false --gamma-policy default",
            "--gamma-policy has no effect",
        ),
        (
            "--method ste++ --commitment-weight 3",
            "takes the place of the commitment loss",
        ),
        (
            "--no-vq",
            "--num-codes has no effect: nothing is quantised with --no-vq",
        ),
    ] {
        bad(folder, &train("never", &words(given)), 2, want)?;
    }
    for option in [
        "--method approach1",
        "--beta 0.5",
        "--sync-nu 1",
        "--affine-lr 1",
        "--affine-groups 2",
        "--using-statistics",
        "--use-learnable-std",
        "--alter-penalty small",
        "--penalty-weight 1",
        "--use-learnable-gamma",
        "--gamma-policy personalize",
        "--replace-freq 1",
        "--replace-policy self",
        "--inplace-optimizer 1,0.9",
        "--ema-decay 0.9",
        "--simvq",
        "--fsq-levels 8,5",
        "--estimator rotation",
        "--norm l2",
        "--cb-norm l2",
        "--replace-below 1",
        "--codebook-init kmeans",
        "--placement raw",
        "--dist cosine",
        "--commitment-weight 1",
    ] {
        let flag = words(option)[0];
        let want = format!("{flag} has no effect");
        let args = [&words("train --out never --no-vq")[..], &words(option)].concat();
        bad(folder, &args, 2, &want)?;
        let of_both = ["--method approach1", "--fsq-levels 8,5", "--norm l2"];
        if !of_both.contains(&option) {
            let args = [&words("train --out never --method fsq")[..], &words(option)].concat();
            bad(folder, &args, 2, &want)?;
        }
    }
    let clamp = words("train --out never --readme --output-clamp eval");
    bad(folder, &clamp, 2, "cannot be used with")?;
    bad(
        folder,
        &words("methods --adapter 0"),
        2,
        "--adapter has no effect",
    )?;
    good(
        folder,
        &train("a", &["--steps", "1", "--method", "ema", "--beta", "1"]),
    )?;
    let resume = words("train --resume a --steps 2 --commitment-weight 2");
    bad(folder, &resume, 2, "--commitment-weight has no effect")?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )
}

/// What is given at its default where it has an effect is no fault, nor what takes back a part of a
/// method.
pub fn given_with_effect(folder: &Path) -> Result<(), Failed> {
    for (given, want) in [
        (
            "--method fsq --num-codes 20",
            "note: 15 codes instead of 20: the levels of fsq are [5, 3]",
        ),
        (
            "--affine-lr 2 --using-statistics",
            "note: with --using-statistics --affine-lr only switches",
        ),
    ] {
        let args = [
            &words("train --data data --batch 8 --steps 1 --overwrite --out a")[..],
            &words(given),
        ];
        let output = semivq(folder, &args.concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(output.status.success() && text.contains(want), text.clone())?;
    }
    for given in [
        "--beta1 0.9 --beta2 0.999 --weight-decay 0.01",
        "--optimizer sgd --momentum 0.9",
        "--method ste++++ --inplace-optimizer none --norm none",
        "--use-learnable-std=false --no-vq=false --replace-freq 0",
        "--method approach1 --penalty-weight 1 --alter-penalty default",
        "--affine-lr 1 --using-statistics --affine-groups 1",
        "--use-learnable-std --affine-groups 2",
        "--commitment-weight 0 --sync-nu 1",
        // What a method sets anyway.
        "--method approach1 --use-learnable-std",
        "--method approach2 --use-learnable-gamma",
        "--method rotation --estimator rotation",
        "--method simvq --simvq",
        "--method affine --affine-lr 2",
    ] {
        let args = [&words("--steps 1 --overwrite")[..], &words(given)].concat();
        good(folder, &train("a", &args))?;
    }
    Ok(())
}
