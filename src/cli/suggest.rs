//! Commands that are suggested: the program as it was called, paths quoted for a shell.

use std::path::Path;

fn quoted(text: &str) -> String {
    // Only a NUL cannot be quoted, which no argument holds.
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// `path` as a shell takes it; one that begins with a dash as a path.
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') {
        return quoted(&format!("./{text}"));
    }
    quoted(&text)
}

/// `semivq train --resume DIR`
pub fn resume(dir: &Path) -> String {
    command("train --resume", dir)
}

/// `semivq compare --resume DIR`
pub fn resume_compare(dir: &Path) -> String {
    command("compare --resume", dir)
}

/// `semivq prior RUN`
pub fn prior(run: &Path) -> String {
    command("prior", run)
}

/// `semivq sample RUN`
pub fn sample(run: &Path) -> String {
    command("sample", run)
}

fn command(what: &str, dir: &Path) -> String {
    let program = std::env::args_os()
        .next()
        .unwrap_or_else(|| "semivq".into());
    let program = quoted(&program.to_string_lossy());
    format!("{program} {what} {}", path(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `sh -c 'printf "%s" ARGUMENT'` gives back.
    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        for (plain, want) in [
            ("runs/vq-1", "runs/vq-1"),
            ("a b/my run", "'a b/my run'"),
            ("it's", "\"it's\""),
            ("-x", "./-x"),
        ] {
            assert_eq!(path(Path::new(plain)), want);
        }
    }
}
