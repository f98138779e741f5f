//! Which options were typed, as against those that have their default.

use clap::ArgMatches;
use clap::parser::ValueSource;

/// The options that a command line gave.
pub struct Given(Vec<String>);

impl Given {
    /// Those of the subcommand in `matches`, which came of `command`.
    pub fn new(command: &clap::Command, matches: &ArgMatches) -> Self {
        let Some((name, matches)) = matches.subcommand() else {
            return Self(Vec::new());
        };
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let all = command.find_subcommand(name).into_iter();
        let ids = all.flat_map(|c| c.get_arguments().map(|a| a.get_id().as_str()));
        Self(ids.filter(|id| typed(id)).map(str::to_owned).collect())
    }

    /// Whether the option is given; by its name with underscores.
    pub fn has(&self, option: &str) -> bool {
        self.0.iter().any(|o| o == option)
    }

    /// The options given that are not in `known`, as they are typed.
    pub fn except(&self, known: &[&str]) -> Vec<String> {
        let unknown = self.0.iter().filter(|o| !known.contains(&o.as_str()));
        unknown
            .map(|o| format!("--{}", o.replace('_', "-")))
            .collect()
    }
}
