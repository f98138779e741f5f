//! `semivq methods`

use std::process::ExitCode;

use semivq::options::typed;
use semivq::train::{Method, TrainOptions};
use serde_json::{Value, json};

use super::given::flag;

/// The options that set a method apart, as they are typed; empty for the defaults.
fn flags(method: Method) -> String {
    let codes = json!(TrainOptions::default())["vq"]["num_codes"].as_u64();
    let codes = codes.unwrap_or_default() as usize;
    let flags = method.sets(codes).into_iter().map(|(name, value)| {
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    #[test]
    fn the_flags_of_a_method_make_what_its_name_makes() {
        let made = |flags: &str| {
            let line = format!("semivq train {flags}");
            let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
            let Command::Train(args) = cli.command else {
                panic!("{line} is no training");
            };
            json!(args.options(false).unwrap())["vq"].take()
        };
        for method in Method::ALL {
            let named = made(&format!("--method {}", method.name()));
            // Without any flag it is the best one.
            let alone = if method == Method::Vq {
                "--beta 0.97125".into()
            } else {
                flags(method)
            };
            assert_eq!(made(&alone), named, "{}", method.name());
            let mut config = serde_json::from_value(made("")).unwrap();
            method.apply(&mut config);
            assert_eq!(json!(config), named);
        }
    }
}
