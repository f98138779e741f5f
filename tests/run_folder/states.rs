//! States of the folder: what a kill, a full disk or a second process leaves, and how it goes on.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::Value;

use super::support::command::{bad, ensure, good, read, train};
use super::{PROGRAM, contents, copy, json, same};

/// Each state that a kill or a full disk leaves ends as the undisturbed run.
pub fn every_state_goes_on(folder: &Path) -> Result<(), Failed> {
    let whole = folder.join("whole");
    good(folder, &train("whole", &["--steps", "6"]))?;
    good(folder, &train("half", &["--steps", "3"]))?;
    good(folder, &["train", "--resume", "half", "--steps", "6"])?;
    same(&whole, &folder.join("half"))?;
    let state = |name: &str, from: &str, change: &dyn Fn(&Path), says: &str| {
        let dir = folder.join(name);
        copy(&folder.join(from), &dir)?;
        change(&dir);
        let text = good(folder, &["train", "--resume", name])?;
        ensure(text.contains(says), format!("{name}: {text}"))?;
        same(&whole, &dir)
    };
    let remove = |dir: &Path, name: &str| std::fs::remove_file(dir.join(name)).unwrap();
    let only_config = |dir: &Path| {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with("config.json") {
                std::fs::remove_file(path).unwrap();
            }
        }
    };
    state(
        "no-checkpoint",
        "whole",
        &only_config,
        "beginning at step 0",
    )?;
    state(
        "no-config",
        "whole",
        &|d| remove(d, "config.json"),
        "all 6 steps are done",
    )?;
    for name in [
        "summary.json",
        "curves.png",
        "codes.png",
        "reconstructions.png",
        "test-image.png",
    ] {
        state(
            &format!("no-{name}"),
            "whole",
            &|d| remove(d, name),
            "results in",
        )?;
    }
    // An older end's figures are not those of this one.
    let old = |dir: &Path| std::fs::write(dir.join("summary.json"), r#"{"steps": 5}"#).unwrap();
    state("old-summary", "whole", &old, "results in")?;
    let leftovers = |dir: &Path| {
        for name in [
            "checkpoint.safetensors.tmp",
            "config.json.tmp",
            "training-9.safetensors.tmp",
            "metrics.jsonl.tmp",
            "curves.png.tmp",
            "training-2.safetensors",
            "config.next.json",
        ] {
            std::fs::write(dir.join(name), b"torn").unwrap();
        }
    };
    state(
        "leftovers",
        "whole",
        &leftovers,
        "complete, nothing is missing",
    )?;
    // Lines behind the checkpoint, the last of them torn, are what a kill leaves in any case.
    let torn = |dir: &Path| {
        let mut text = std::fs::read(dir.join("metrics.jsonl")).unwrap();
        text.extend(br#"{"step":7,"rec_loss":0.25}"#);
        text.extend(b"\n{\"step\":8,\"rec_l");
        std::fs::write(dir.join("metrics.jsonl"), text).unwrap();
        remove(dir, "summary.json");
    };
    state("torn", "whole", &torn, "results in")
}

/// Lines of metrics that are lost are said to be; the others are kept.
pub fn metrics_are_rebuilt(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "4"]))?;
    let path = folder.join("a/metrics.jsonl");
    let whole = read(path.clone())?;
    let steps = || -> Result<Vec<Value>, Failed> {
        let text = String::from_utf8(read(path.clone())?)?;
        let lines = text.lines().map(serde_json::from_str::<Value>);
        lines.map(|l| Ok(l?["step"].clone())).collect()
    };
    let resume = |to: &str, says: &str| -> Result<(), Failed> {
        let text = good(folder, &["train", "--resume", "a", "--steps", to])?;
        ensure(text.contains(says), format!("{text} does not say {says}"))
    };
    let mut bytes = whole.clone();
    let second = bytes.iter().position(|b| *b == b'\n').ok_or("one line")? + 3;
    bytes[second] = 0xff;
    std::fs::write(&path, &bytes)?;
    resume("5", "metrics.jsonl: had 1 lines that could not be read")?;
    ensure(steps()? == [1, 3, 4, 5], format!("{:?}", steps()?))?;
    std::fs::write(&path, &whole[..second + 10])?;
    resume("6", "had no lines from step 2 to 5")?;
    ensure(steps()? == [1, 6], format!("{:?}", steps()?))?;
    std::fs::remove_file(&path)?;
    resume("7", "metrics.jsonl: was not there")?;
    ensure(steps()? == [7], format!("{:?}", steps()?))
}

/// One process at a time has a folder; the lock ends with whoever has it.
pub fn one_process_at_a_time(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2"]))?;
    let lock = File::open(folder.join("a/.semivq.lock"))?;
    lock.lock()?;
    let before = contents(&folder.join("a"))?;
    for args in [
        &["train", "--resume", "a", "--steps", "3"][..],
        &train("a", &["--steps", "3", "--overwrite"]),
    ] {
        bad(folder, args, 1, "another semivq process")?;
    }
    ensure(
        before == contents(&folder.join("a"))?,
        "the run was touched",
    )?;
    // Reading needs no lock.
    good(folder, &["eval", "a"])?;
    drop(lock);
    good(folder, &["train", "--resume", "a", "--steps", "3"])?;
    // Runs that begin at once, without a name, get one each.
    let args = [
        "train",
        "--data",
        "data",
        "--batch",
        "8",
        "--num-codes",
        "4",
        "--steps",
        "1",
    ];
    let start = || {
        Command::new(PROGRAM)
            .current_dir(folder)
            .args(args)
            .stdout(Stdio::null())
            .spawn()
    };
    let children: Vec<_> = (0..4).map(|_| start()).collect::<Result<_, _>>()?;
    for mut child in children {
        ensure(child.wait()?.success(), "a run failed")?;
    }
    for n in 1..=4 {
        let summary = json(&folder.join(format!("runs/best-{n}/summary.json")))?;
        ensure(summary["steps"] == 1, format!("{summary}"))?;
    }
    ensure(!folder.join("runs/best-5").exists(), "a fifth run")
}

/// A full disk, here a limit on the size of files: the first error is told, and what is left goes on.
#[cfg(unix)]
pub fn a_full_disk(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("whole", &["--steps", "6"]))?;
    // Blocks of 512 bytes: room for the configuration, but not for a checkpoint; then for both
    // files of one, but not for the pictures.
    for (blocks, name) in [("3", "no room"), ("120", "little room")] {
        let line = format!(
            "ulimit -f {blocks}; exec \"$0\" train --data data --batch 8 --num-codes 16 --out '{name}' --steps 6"
        );
        let output = Command::new("sh")
            .current_dir(folder)
            .args(["-c", &line, PROGRAM])
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(
            output.status.code() == Some(1)
                && text.lines().filter(|l| l.starts_with("error:")).count() == 1,
            format!("{blocks}: {text}"),
        )?;
        ensure(text.contains("File too large"), text.clone())?;
        // The command that is suggested is one that a shell takes as it stands.
        if let Some((_, command)) = text.trim().split_once("then go on: ") {
            let output = Command::new("sh")
                .current_dir(folder)
                .args(["-c", command])
                .output()?;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure(output.status.success(), format!("{command}: {text}"))?;
        } else {
            good(folder, &["train", "--resume", name])?;
        }
        same(&folder.join("whole"), &folder.join(name))?;
    }
    Ok(())
}

/// A run whose steps are done takes nothing that would change none of them, and no other run's training state.
pub fn a_finished_run(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "3"]))?;
    let before = contents(&folder.join("a"))?;
    for option in [
        ["--lr", "1e-2"],
        ["--log-every", "2"],
        ["--commitment-weight", "2"],
        ["--data", "data"],
    ] {
        let resume = ["train", "--resume", "a", option[0], option[1]];
        bad(
            folder,
            &resume,
            2,
            &format!("{} has no effect: all 3 steps", option[0]),
        )?;
    }
    ensure(
        contents(&folder.join("a"))? == before,
        "a refusal changed the run",
    )?;
    good(folder, &train("b", &["--steps", "3", "--lr", "1e-2"]))?;
    let name = "training-3.safetensors";
    std::fs::copy(folder.join("b").join(name), folder.join("a").join(name))?;
    let resume = ["train", "--resume", "a", "--steps", "4"];
    bad(
        folder,
        &resume,
        1,
        "training-3.safetensors: is of another run",
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

/// How many runs the kill test disturbs.
const KILLED: u32 = 20;

/// Killed at any moment, also while it goes on and while it writes its pictures, a run that is
/// resumed ends as the undisturbed one, byte for byte.
pub fn kills_at_random_moments(folder: &Path) -> Result<(), Failed> {
    let more = [
        "--steps",
        "30",
        "--checkpoint-every",
        "2",
        "--replace-freq",
        "4",
        "--eval-every",
        "5",
        "--keep-best",
        "--keep-last",
        "2",
        "--patience",
        "6",
        "--schedule",
        "cosine",
        "--warmup",
        "3",
        "--clip-norm",
        "1",
        "--accumulate",
        "2",
    ];
    let start = |args: &[&str]| {
        Command::new(PROGRAM)
            .current_dir(folder)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    let began = Instant::now();
    let mut child = start(&train("whole", &more))?;
    let all_steps_done = |dir: &Path| dir.join("training-30.safetensors").exists();
    // Until all steps are done, but no longer than a run may take.
    let wait_for_steps = |child: &mut Child, dir: &Path| -> Result<(), Failed> {
        while !all_steps_done(dir) && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    wait_for_steps(&mut child, &folder.join("whole"))?;
    let steps = began.elapsed().as_millis() as u32;
    ensure(child.wait()?.success(), "the undisturbed run failed")?;
    let whole = began.elapsed().as_millis() as u32;
    let mut random = Lcg(11);
    let mut seen = BTreeMap::<&str, u32>::new();
    for i in 0..KILLED {
        let name = format!("killed-{i}");
        let dir = folder.join(&name);
        let begin = train(&name, &more);
        let resume = ["train", "--resume", &name];
        // Two kills in each, the second one while it goes on.
        for kill in 0..2 {
            let known =
                dir.join("config.json").exists() || dir.join("checkpoint.safetensors").exists();
            let mut child = start(if known { &resume } else { &begin })?;
            // Every other run is killed the second time after its last step: on a busy machine the times
            // alone do not hit its pictures.
            let wait = if kill == 1 && i % 2 == 1 {
                wait_for_steps(&mut child, &dir)?;
                random.below((whole - steps).max(1))
            } else {
                // Nothing is on the disk before a third.
                steps / 3 + random.below(whole - steps / 3)
            };
            std::thread::sleep(Duration::from_millis(wait.into()));
            child.kill()?;
            child.wait()?;
            let has = |file: &str| dir.join(file).exists();
            let state = match () {
                () if has("summary.json") => "concluded",
                () if has("reconstructions.png") || has("curves.png") => "concluding",
                () if all_steps_done(&dir) => "all steps done",
                () if has("checkpoint.safetensors") => "in training",
                () if has("config.json") => "no checkpoint",
                () => "nothing",
            };
            *seen.entry(state).or_default() += 1;
        }
        let known = dir.join("config.json").exists() || dir.join("checkpoint.safetensors").exists();
        good(folder, if known { &resume } else { &begin })?;
        same(&folder.join("whole"), &dir)?;
    }
    println!("  {} kills over {whole} ms each left: {seen:?}", 2 * KILLED);
    let within = |states: &[&str]| -> u32 { states.iter().filter_map(|s| seen.get(s)).sum() };
    ensure(
        within(&["in training", "no checkpoint"]) >= KILLED / 4
            && within(&["all steps done", "concluding"]) >= KILLED / 10,
        format!("too few kills within the runs: {seen:?}"),
    )
}
