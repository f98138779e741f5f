//! `semivq methods`

use std::process::ExitCode;

use semivq::train::Method;

/// The options that set a method apart, as they are typed; empty for the defaults.
fn flags(method: Method) -> &'static str {
    match method {
        Method::Vq => "",
        Method::Approach1 => "--use-learnable-std",
        Method::Approach1Plus => "--use-learnable-std --replace-freq 100 --norm l2 --cb-norm l2",
        Method::Approach2 => "--use-learnable-gamma",
        Method::Approach3 => "--use-learnable-gamma --gamma-policy personalize",
        Method::Affine => "--affine-lr 2",
        Method::Ste => "--affine-lr 2 --sync-nu 2 --beta 1 --inplace-optimizer 10,0.9",
        Method::StePlus => {
            "--affine-lr 2 --sync-nu 2 --beta 1 --inplace-optimizer 10,0.9 --replace-freq 100 --norm l2 --cb-norm l2"
        }
        Method::Ema => "--ema-decay 0.99",
        Method::Rotation => "--estimator rotation",
        Method::SimVq => "--simvq",
        Method::Fsq => "--fsq-levels 8,6,5",
    }
}

/// A line of explanation each, the options that make it, and the paper.
pub fn run() -> ExitCode {
    for method in Method::ALL {
        out!("{:<12} {}", method.name(), method.summary());
        if !flags(method).is_empty() {
            out!("{:<12} {}", "", flags(method));
        }
        out!("{:<12} {}\n", "", method.paper());
    }
    out!(
        "train --method NAME sets these options; flags override them, for example\n  \
         semivq train --method ste++ --replace-freq 50 --inplace-optimizer none"
    );
    ExitCode::SUCCESS
}
