//! `semivq methods`

use std::process::ExitCode;

use semivq::train::Method;

/// A line of explanation each, the options that make it, and the paper.
pub fn run() -> ExitCode {
    for method in Method::ALL {
        out!("{:<12} {}", method.name(), method.summary());
        if !method.flags().is_empty() {
            out!("{:<12} {}", "", method.flags());
        }
        out!("{:<12} {}\n", "", method.paper());
    }
    out!(
        "train --method NAME sets these options; flags override them, for example\n  \
         semivq train --method ste++ --replace-freq 50 --inplace-optimizer none"
    );
    ExitCode::SUCCESS
}
