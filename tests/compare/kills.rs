//! An experiment that ends before its time, in order or not, goes on to the end that it would have had.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::support::command::{bad, ensure, good};
use super::{compare, same};

const PROGRAM: &str = env!("CARGO_BIN_EXE_semivq");

pub fn ctrl_c_ends_in_order(folder: &Path) -> Result<(), Failed> {
    let args = compare(&["--methods", "vq,ema", "--num-codes", "16", "--out", "a"]);
    let long: Vec<&str> = args
        .iter()
        .map(|a| if *a == "6" { "100000" } else { a })
        .collect();
    let mut child = Command::new(PROGRAM)
        .current_dir(folder)
        .args(&long)
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next().transpose()? {
        if line.ends_with(": begins") {
            break;
        }
    }
    // One process at a time has the folder.
    bad(folder, &long, 1, "another semivq process")?;
    bad(folder, &["plot", "a"], 1, "is not there")?;
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status()?;
    let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
    ensure(child.wait()?.code() == Some(130), rest.join("\n"))?;
    ensure(
        rest.last()
            .is_some_and(|l| l.starts_with("stopped; go on with: ")),
        rest.join("\n"),
    )
}

/// Random numbers of a fixed seed: the generator of Numerical Recipes.
struct Lcg(u32);

impl Lcg {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % n
    }
}

/// The runs of the experiment.
const RUNS: [&str; 4] = ["vq-s0", "vq-s1", "approach1-s0", "approach1-s1"];
/// How many times an experiment is killed.
const KILLS: u32 = 20;

/// Killed twenty times at any moment, also while it writes its results, an experiment that goes on comes to the same
/// files.
pub fn kills_at_random_moments(folder: &Path) -> Result<(), Failed> {
    let args = |out: &'static str| {
        let more = [
            "--methods",
            "vq,approach1",
            "--seeds",
            "0-1",
            "--num-codes",
            "16",
            "--replace-freq",
            "2",
            "--checkpoint-every",
            "2",
            "--out",
            out,
        ];
        compare(&more)
    };
    let began = Instant::now();
    good(folder, &args("whole"))?;
    let whole = began.elapsed().as_millis() as u32;
    let mut random = Lcg(5);
    let mut seen = BTreeMap::<&str, u32>::new();
    let (mut kills, mut round) = (0, 0);
    while kills < KILLS {
        let dir = folder.join("killed");
        // Until it comes to its end; then anew, since not every kill is early enough.
        for part in 0_u32.. {
            let known = dir.join("experiment.toml").exists();
            let args = match known {
                true => vec!["compare", "--resume", "killed"],
                false => args("killed"),
            };
            let mut child = Command::new(PROGRAM)
                .current_dir(folder)
                .args(&args)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            // First at any time, then soon after further runs have ended, at last while the results are written.
            let ended = |name: &str| dir.join("runs").join(name).join("outcome.json").exists();
            let count = || RUNS.into_iter().filter(|name| ended(name)).count() as u32;
            let (runs, before) = (part + random.below(2), count());
            let there = || match part {
                3 if round % 2 == 0 => dir.join("results.csv").exists(),
                3 => dir.join("plots/curves.png").exists(),
                _ => count() >= runs && count() > before,
            };
            let wait = if part == 0 || (part < 3 && before >= runs) {
                whole / 4 + random.below(whole / 2)
            } else {
                while !there() && child.try_wait()?.is_none() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                random.below(whole / 16)
            };
            std::thread::sleep(Duration::from_millis(wait.into()));
            if let Some(status) = child.try_wait()? {
                ensure(status.success(), "an experiment failed")?;
                break;
            }
            child.kill()?;
            child.wait()?;
            kills += 1;
            let count = count();
            let state = match (dir.join("results.csv").exists(), count) {
                (true, _) => "writing results",
                (false, 0) => "no run ended",
                (false, _) => "some runs ended",
            };
            *seen.entry(state).or_default() += 1;
            if part == 3 {
                break;
            }
        }
        good(folder, &["compare", "--resume", "killed"])?;
        same(&folder.join("whole"), &dir)?;
        // What a kill leaves at the very end: results half written.
        std::fs::remove_file(dir.join("results.csv"))?;
        std::fs::write(dir.join("results.md.tmp"), "torn")?;
        good(folder, &["compare", "--resume", "killed"])?;
        same(&folder.join("whole"), &dir)?;
        std::fs::rename(&dir, folder.join(format!("before-{round}")))?;
        round += 1;
    }
    println!("  {kills} kills, {whole} ms undisturbed: {seen:?}");
    // How many runs have ended at a kill is the machine's: two that stand side by side may end at one moment.
    ensure(
        seen.len() == 3,
        format!("no kill in one of three states: {seen:?}"),
    )
}
