//! `semivq methods`

use std::process::ExitCode;

use semivq::options::typed;
use semivq::train::Method;
use serde_json::Value;

use super::given::flag;

/// Codes (K) of the command line's default.
const CODES: usize = 256;

/// The options that set a method apart, as they are typed; empty for the defaults.
fn flags(method: Method) -> String {
    let flags = method.sets(CODES).into_iter().map(|(name, value)| {
        let flag = flag(name);
        match value {
            Value::Bool(true) => flag,
            value => format!("{flag} {}", typed(&value)),
        }
    });
    flags.collect::<Vec<_>>().join(" ")
}

/// A line of explanation each, the options that make it, and the paper.
pub fn run() -> ExitCode {
    for method in Method::ALL {
        out!("{:<12} {}", method.name(), method.summary());
        let flags = flags(method);
        if !flags.is_empty() {
            out!("{:<12} {flags}", "");
        }
        out!("{:<12} {}\n", "", method.paper());
    }
    out!(
        "train --method NAME sets these options; flags override them, for example\n  \
         semivq train --method ste++ --replace-freq 50 --inplace-optimizer none"
    );
    ExitCode::SUCCESS
}
