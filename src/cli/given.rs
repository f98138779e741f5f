//! Which options were typed, as against those that have their default.

use clap::ArgMatches;
use clap::parser::ValueSource;
use semivq::Error;
use semivq::error::with_names;

/// The options that a command line gave.
pub struct Given {
    ids: Vec<String>,
    /// Every option of the subcommand.
    all: Vec<String>,
}

impl Given {
    /// Those of the subcommand in `matches`, which came of `command`.
    pub fn new(command: &clap::Command, matches: &ArgMatches) -> Self {
        let Some((name, matches)) = matches.subcommand() else {
            return Self {
                ids: Vec::new(),
                all: Vec::new(),
            };
        };
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let all = names(command.find_subcommand(name));
        Self {
            ids: all.iter().filter(|id| typed(id)).cloned().collect(),
            all,
        }
    }

    /// Whether the option is given; by its name with underscores.
    pub fn has(&self, option: &str) -> bool {
        // --kmeans-init is the earlier name of --codebook-init kmeans.
        let renamed = |o: &str| o == "kmeans_init" && option == "codebook_init";
        self.ids.iter().any(|o| o == option || renamed(o))
    }

    /// The options given that are not in `known`, as they are typed.
    pub fn except(&self, known: &[&str]) -> Vec<String> {
        let unknown = self.ids.iter().filter(|o| !known.contains(&o.as_str()));
        unknown.map(|o| flag(o)).collect()
    }

    /// A text, its options in backticks as they are typed.
    pub fn named(&self, text: &str) -> String {
        let known = |name: &str| self.all.iter().any(|o| o == name);
        with_names(text, |name| known(name).then(|| flag(name)))
    }

    /// The error, its options named as this command takes them.
    pub fn in_flags(&self, error: &Error) -> String {
        let known = |name: &str| self.all.iter().any(|o| o == name);
        match error {
            Error::Option { name, value, want } => {
                let own = name.rsplit('.').next().unwrap_or(name);
                let name = if known(own) { flag(own) } else { name.clone() };
                format!("{name} must be {}, not {value}", flags(want, known))
            }
            Error::Conflict(text) => {
                let text = with_names(text, |name| known(name).then(|| flag(name)));
                flags(&text, known)
            }
            Error::About { what, source } => format!("{what}: {}", self.in_flags(source)),
            other => with_names(&other.to_string(), |name| known(name).then(|| flag(name))),
        }
    }
}

/// The options of a command, by their names with underscores.
fn names(command: Option<&clap::Command>) -> Vec<String> {
    let arguments = command.into_iter().flat_map(clap::Command::get_arguments);
    // What has no name on the command line is not called by one.
    let named = arguments.filter(|a| a.get_long().is_some());
    named.map(|a| a.get_id().as_str().to_owned()).collect()
}

/// `num_codes` as it is typed.
pub fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// Options whose names are words that a text may use otherwise.
const WORDS: [&str; 16] = [
    "count",
    "from",
    "loss",
    "epochs",
    "model",
    "method",
    "data",
    "init",
    "steps",
    "batch",
    "seed",
    "out",
    "overwrite",
    "resume",
    "optimizer",
    "momentum",
];

/// `text` with the names of options as they are typed.
fn flags(text: &str, known: impl Fn(&str) -> bool) -> String {
    // What has its dashes already is a name of its own.
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
        let (word, more) = rest.split_at(end);
        if known(word) && !WORDS.contains(&word) {
            out.push_str(&flag(word));
        } else {
            out.push_str(word);
        }
        let next = more.find(in_name).unwrap_or(more.len());
        out.push_str(&more[..next]);
        rest = &more[next..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_named_as_they_are_typed() {
        let given = Given {
            ids: Vec::new(),
            all: ["beta", "beta1", "num_codes", "out"]
                .map(str::to_owned)
                .into(),
        };
        let text = "--beta and num_codes (3) of beta 1: leave it out, not num_code";
        assert_eq!(
            given.in_flags(&Error::Conflict(text.into())),
            "--beta and --num-codes (3) of --beta 1: leave it out, not num_code"
        );
        for (name, want) in [
            ("optimizer.beta1", "--beta1"),
            ("optimizer.eps", "optimizer.eps"),
        ] {
            let error = Error::Option {
                name: name.into(),
                value: "1".into(),
                want: "in [0, 1)".into(),
            };
            assert_eq!(
                given.in_flags(&error),
                format!("{want} must be in [0, 1), not 1")
            );
        }
        assert_eq!(
            given.in_flags(&Error::Config("num_codes, `num_codes` or `lr`".into())),
            "num_codes, --num-codes or `lr`"
        );
    }
}
