//! Standard output and standard error. Nothing here panics when nobody reads any more, and what was
//! lost is known at the end.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The first error of standard output.
static LOST: Mutex<Option<String>> = Mutex::new(None);

/// Whether standard output was closed when the program began.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Rust opens `/dev/null` in place of a standard output that is closed (`>&-`), before `main`: so
/// this looks before that.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "the list of what the loader calls before main has no safe name; the function called only asks \
              for two paths"
)]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        let there = |path: &str| std::fs::symlink_metadata(path).is_ok();
        let closed = there("/proc/self/fd") && !there("/proc/self/fd/1");
        CLOSED.store(closed, Ordering::Relaxed);
    }
    look
};

fn lose(why: String) {
    if let Ok(mut lost) = LOST.lock() {
        lost.get_or_insert(why);
    }
}

/// A line on standard output. A reader that went away (`| head`) is no error; a full disk is.
pub fn line(text: Arguments<'_>) {
    if CLOSED.load(Ordering::Relaxed) {
        return lose("it is closed".into());
    }
    if let Err(error) = writeln!(std::io::stdout(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        lose(error.to_string());
    }
}

/// What clap has to say, on the stream that it is for; an error as [`line`] has it.
pub fn clap(text: &clap::Error) {
    let stdout = !text.use_stderr();
    let written = match stdout && CLOSED.load(Ordering::Relaxed) {
        true => Err("it is closed".into()),
        false => match text.print() {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e.to_string()),
            _ => Ok(()),
        },
    };
    if let (true, Err(why)) = (stdout, written) {
        lose(why);
    }
}

/// A line on standard error.
pub fn note(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Why a line of standard output could not be written, if one could not.
pub fn lost() -> Option<String> {
    LOST.lock().ok()?.take()
}
