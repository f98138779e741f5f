//! The tables of options and methods say what there is: the options' JSON, the flags of `train`, the
//! page's controls and the package's types agree with them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "tables/typescript.rs"]
mod typescript;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use semivq::options::{Entry, Flag, Kind, PAGE, Range, Scope, TABLE, Unset, typed};
use semivq::train::{Method, TrainOptions};
use semivq::{Error, Result};
use serde_json::{Value, json};

type Names = BTreeSet<String>;

fn names<T: ToString>(all: impl IntoIterator<Item = T>) -> Names {
    all.into_iter().map(|name| name.to_string()).collect()
}

/// Asserts that both hold the same, and names what only one has.
fn agree(what: &str, left: &Names, right: &Names) {
    let only = |a: &Names, b: &Names| a.difference(b).cloned().collect::<Vec<_>>().join(", ");
    let (left, right) = (only(left, right), only(right, left));
    assert!(
        left.is_empty() && right.is_empty(),
        "{what}: only the first has [{left}], only the second [{right}]"
    );
}

/// JSON of some options that hold `value` for `entry`, with the optimiser that has it.
fn some(entry: &Entry, value: &Value) -> Value {
    match (entry.group, entry.of) {
        // Of the default model, where that has it.
        ("", [of, ..]) if *of != "simple" => json!({"model": of, entry.name: value}),
        ("", _) => json!({entry.name: value}),
        ("optimizer", [of, ..]) => {
            json!({"optimizer": {"name": of, entry.name: value}})
        }
        (group, _) => json!({group: {entry.name: value}}),
    }
}

/// What the program says to `args`, and its exit code.
fn semivq(args: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_semivq"))
        .args(args)
        .env("COLUMNS", "100")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn flag(entry: &Entry) -> String {
    format!("--{}", entry.id().replace('_', "-"))
}

/// The words in backticks of an error's list.
fn listed(error: &str) -> Names {
    let (_, list) = error.split_once("expected").unwrap_or(("", ""));
    names(list.split('`').skip(1).step_by(2))
}

#[test]
fn the_table_is_that_of_the_options() {
    let all = json!(TrainOptions::default());
    let sgd = TrainOptions::from_partial(json!({"optimizer": {"name": "sgd"}})).unwrap();
    let sgd = json!(sgd);
    let ids = names(TABLE.iter().map(Entry::id));
    assert_eq!(ids.len(), TABLE.len(), "a name stands twice");
    for group in ["", "vq", "optimizer"] {
        let pick = |all: &Value| match group {
            "" => all.clone(),
            group => all[group].clone(),
        };
        let table = TABLE.iter().filter(|entry| entry.group == group);
        let mut table = names(table.map(|entry| entry.name));
        let mut there = names(
            [pick(&all), pick(&sgd)]
                .iter()
                .flat_map(|o| o.as_object().unwrap().keys().cloned().collect::<Vec<_>>()),
        );
        if group.is_empty() {
            table.extend(["vq".into(), "optimizer".into()]);
            // Those that are left out of the JSON, too.
            let error = TrainOptions::from_stored(r#"{"no_option": 1}"#).unwrap_err();
            there.extend(listed(&error.to_string()));
        }
        agree(&format!("table and JSON of {group:?}"), &table, &there);
    }
    for entry in &TABLE {
        let of = if entry.of == ["sgd"] { &sgd } else { &all };
        let default = match entry.default {
            "" => Value::Null,
            text => entry.parse(text).unwrap(),
        };
        let there = entry.of_json(of);
        assert_eq!(
            there.is_none(),
            entry.unset == Unset::LeftOut,
            "{} in JSON",
            entry.name
        );
        let there = there.cloned().unwrap_or_default();
        assert_eq!(typed(&there), typed(&default), "default of {}", entry.name);
        let null = TrainOptions::from_partial(some(entry, &Value::Null));
        assert_eq!(
            null.is_ok(),
            entry.unset != Unset::Never,
            "null for {}: {null:?}",
            entry.name
        );
    }
}

#[test]
fn the_words_are_what_is_read() {
    for entry in &TABLE {
        let Kind::Word(words) = entry.kind else {
            continue;
        };
        for word in words {
            // A word counts where what it belongs to is switched on.
            let on = match entry.name {
                "stochastic" => json!({}),
                _ => json!({"vq": {
                    "use_learnable_std": true, "penalty_weight": 1, "use_learnable_gamma": true, "replace_freq": 3,
                }}),
            };
            let given = some(entry, &json!(word));
            let options = match entry.group {
                "vq" => TrainOptions::from_partial(on).unwrap().with(given),
                _ => TrainOptions::from_partial(given),
            };
            let options = options.unwrap();
            assert_eq!(entry.of_json(&json!(options)), Some(&json!(word)));
        }
        let wrong = TrainOptions::from_partial(some(entry, &json!("no word")));
        let error = wrong.and_then(|o| o.validate()).unwrap_err().to_string();
        let own = entry.parse("no word").unwrap_err().to_string();
        match entry.id() {
            "model" => assert!(error.ends_with(&format!("there is: {}", words.join(", ")))),
            "optimizer" => assert!(error.contains(&format!("must be {}, not", words.join(" or ")))),
            _ => {
                agree(entry.name, &names(words), &listed(&error));
                assert!(error.contains(&own), "{error} is not {own}");
            }
        }
    }
    let error = TrainOptions::from_partial(json!({"method": "no word"})).unwrap_err();
    let methods = names(Method::ALL.map(Method::name));
    agree("methods", &methods, &listed(&error.to_string()));
}

/// Numbers at the edges of a range and beyond them, as typed.
fn probes(range: Range) -> (Vec<String>, Vec<String>) {
    let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect();
    match range {
        Range::Whole(from, to) => (
            vec![from.to_string(), to.to_string()],
            vec![
                (i128::from(from) - 1).to_string(),
                (i128::from(to) + 1).to_string(),
                format!("{from}.5"),
            ],
        ),
        Range::Positive => (texts(&["1e-9", "1e9"]), texts(&["0", "-1e-9", "1e39"])),
        Range::NotNegative => (texts(&["0", "1e9"]), texts(&["-1e-9", "1e39"])),
        Range::Share => (texts(&["0", "1"]), texts(&["-1e-9", "1.001"])),
        Range::Decay => (texts(&["0", "0.999"]), texts(&["-1e-9", "1", "0.99999999"])),
    }
}

/// `text`, which is a number, as `entry` of whole options, as they are stored.
fn stored(entry: &Entry, text: &str) -> Result<TrainOptions> {
    let base = TrainOptions::from_partial(match entry.of {
        ["sgd"] => json!({"optimizer": {"name": "sgd"}}),
        ["resnet32", ..] => json!({"model": "resnet32"}),
        _ => json!({}),
    })?;
    let mut all = json!(base);
    let object = match entry.group {
        "" => &mut all,
        group => &mut all[group],
    };
    object[entry.name] = serde_json::from_str(text).unwrap();
    TrainOptions::from_stored(&all.to_string())
}

#[test]
fn a_range_holds_wherever_the_number_comes_in() {
    for entry in &TABLE {
        let Kind::Number(range) = entry.kind else {
            continue;
        };
        let (right, wrong) = probes(range);
        let out_of_range = |error: &str| error.contains(" must be ");
        let flags = |text: &str| {
            // The model stops it where the number does not.
            semivq(&[
                "train",
                "--model",
                "huge",
                &format!("{}={text}", flag(entry)),
            ])
        };
        for text in right {
            let value = serde_json::from_str(&text).unwrap();
            for taken in [
                TrainOptions::from_partial(some(entry, &value)),
                stored(entry, &text),
            ] {
                if let Err(Error::Option { name, .. }) = taken {
                    // Only the axis has a narrower range in a model.
                    assert_eq!(name, "vq.dim", "{text}");
                }
            }
            if entry.flag != Flag::Missing {
                let (code, said) = flags(&text);
                assert!(code == 2 && !out_of_range(&said), "{said}");
            }
        }
        let path = match entry.group {
            "" => entry.name.to_owned(),
            group => format!("{group}.{}", entry.name),
        };
        for text in wrong {
            let value = serde_json::from_str(&text).unwrap();
            for refused in [
                TrainOptions::from_partial(some(entry, &value)),
                TrainOptions::default().with(some(entry, &value)),
                stored(entry, &text),
            ] {
                let error = refused.unwrap_err().to_string();
                assert!(
                    error.contains(&format!("{path} must be ")),
                    "{text}: {error}"
                );
            }
            if entry.flag != Flag::Missing {
                let (code, said) = flags(&text);
                let want = format!("error: {} must be ", flag(entry));
                assert!(code == 2 && said.starts_with(&want), "{text}: {said}");
            }
        }
    }
}

/// Flags of `train` that are no options of a run.
const OF_THE_COMMAND: [&str; 7] = [
    "--out",
    "--overwrite",
    "--resume",
    "--readme",
    "--adapter",
    "--backend",
    "--help",
];

#[test]
fn the_flags_are_those_of_the_table() {
    let (code, help) = semivq(&["train", "--help"]);
    assert_eq!(code, 0);
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    // Their lines are less indented than what is said of them.
    let listed = help.lines().filter_map(|line| {
        let line = line
            .strip_prefix("      --")
            .or(line.strip_prefix("  -h, --"))?;
        Some(format!("--{}", line.split(ends).next()?))
    });
    let shown = TABLE.iter().filter(|entry| entry.flag == Flag::Shown);
    let mut table = names(shown.map(flag));
    table.extend(names(OF_THE_COMMAND));
    agree("flags of the table and of --help", &table, &names(listed));

    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for entry in &TABLE {
        if entry.flag == Flag::Shown {
            let text = entry.long_help();
            assert!(help.contains(&text), "--help does not say: {text}");
        }
    }
    let (_, resume) = help.split_once("Its options are the run's; ").unwrap();
    let (resume, _) = resume.split_once("can be given anew").unwrap();
    let given = resume.split(|c: char| c == ',' || c.is_whitespace());
    let given = names(given.filter(|word| word.starts_with("--")));
    let resumable = names(TABLE.iter().filter(|e| e.resumable).map(flag));
    agree("what --resume takes, and says", &resumable, &given);
}

#[test]
fn the_controls_are_within_the_options() {
    let with = TABLE.iter().filter(|entry| entry.control.is_some());
    agree(
        "controls and the page's order",
        &names(with.map(Entry::id)),
        &names(PAGE),
    );
    let controls: Vec<(&Entry, _)> = PAGE
        .iter()
        .filter_map(|id| Entry::named(id))
        .map(|entry| (entry, entry.control.unwrap()))
        .collect();
    for unique in [
        names(controls.iter().map(|(_, c)| c.key)),
        names(controls.iter().map(|(_, c)| c.label)),
    ] {
        assert_eq!(unique.len(), PAGE.len());
    }
    for (entry, control) in controls {
        let name = entry.name;
        assert_eq!(
            control.key == name,
            entry.kind != Kind::Pair,
            "key of {name}"
        );
        if control.scope == Scope::Side {
            let method = entry.kind == Kind::Method;
            assert!(entry.group == "vq" || method, "{name} of a side");
            assert_eq!(control.initial.is_empty(), !method, "{name}");
        }
        let Kind::Number(range) = entry.kind else {
            continue;
        };
        if !control.initial.is_empty() {
            entry.parse(control.initial).unwrap();
        }
        for bound in [control.bounds.0, control.bounds.1] {
            let whole = bound.fract() == 0.0 && range.holds_whole(bound as u64);
            let none = bound == 0.0 && entry.unset != Unset::Never;
            let holds = whole || range.holds(bound) || none;
            assert!(holds, "{name}: {bound} is out of range");
        }
    }
}

/// What only works on vectors and codes does nothing without them.
#[test]
fn what_has_no_effect_is_in_the_table() {
    let idle = |options: Value| {
        let options = TrainOptions::from_partial(options).unwrap();
        let idle = options.without_effect();
        names(idle.iter().flat_map(|idle| idle.names))
    };
    let ids = names(TABLE.iter().map(Entry::id));
    let plain = idle(json!({"vq": {"no_vq": true}}));
    for options in [
        json!({}),
        json!({"method": "fsq"}),
        json!({"optimizer": {"name": "sgd"}}),
    ] {
        let unknown: Vec<String> = idle(options).difference(&ids).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    let of_a_quantiser = TABLE.iter().filter(|e| e.group == "vq").map(Entry::id);
    let mut want = names(of_a_quantiser);
    want.remove("feature_size");
    want.remove("no_vq");
    want.extend(names([
        "method",
        "commitment_weight",
        "momentum",
        "quantizer_lr",
    ]));
    // Of the residual models.
    want.extend(names(["width", "blocks"]));
    // Of a schedule and of evaluations that there are not.
    want.extend(names([
        "min_lr",
        "decay_every",
        "decay_factor",
        "keep_best",
        "patience",
        "min_delta",
    ]));
    agree("options of a quantiser, idle ones", &want, &plain);
}

#[test]
fn the_page_and_the_package_are_made_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/options.ts");
    let made = typescript::options();
    if std::env::var_os("SEMIVQ_WRITE_TABLES").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let changed = made.lines().zip(there.lines()).find(|(a, b)| a != b);
    assert!(
        made == there,
        "www/options.ts is not what the tables make (first {changed:?}): `cargo xtask tables` writes it"
    );
}

#[test]
fn the_readme_names_each_method() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip_while(|l| !l.starts_with("| `--method`"));
    let table: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    let named = table.iter().filter_map(|line| line.split('|').nth(1));
    let named = named.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let named = names(named.filter(|name| *name != "--method"));
    let methods = names(Method::ALL.map(Method::name));
    agree("methods, and the README's table", &methods, &named);
}
