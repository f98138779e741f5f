//! New pictures from a codebook: the codes have the frequencies of the histogram, and a seed has its pictures.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::data::{Images, Source as _};
use semivq::gpu::Gpu;
use semivq::rng::Stream;
use semivq::train::{Histogram, Session, TrainOptions};
use serde_json::{Value, json};
use support::command::ensure;
use support::session::{Test, checkpoint, glyphs, run, run_all};

/// Standard deviations that a statistic may be off: one run in a million and a half.
const SIGMAS: f64 = 5.0;

fn session(gpu: &Arc<Gpu>, options: Value) -> semivq::Result<Session> {
    let options = TrainOptions::from_partial(options)?;
    let model = options.build_model(1)?;
    let data = Arc::new(glyphs(64, 8));
    Session::new(Arc::clone(gpu), model, data, options.session())
}

fn small(method: &str) -> Value {
    json!({"method": method, "batch": 8, "vq": {"num_codes": 16, "feature_size": 8}})
}

/// How many standard deviations the chi-square of `counts` against `shares` is off.
fn off(counts: &[u64], shares: &[f64]) -> f64 {
    let total: u64 = counts.iter().sum();
    let all: f64 = shares.iter().sum();
    let used = || counts.iter().zip(shares).filter(|(_, share)| **share > 0.0);
    let square = |(count, share): (&u64, &f64)| {
        let expected = total as f64 * share / all;
        (*count as f64 - expected).powi(2) / expected
    };
    let freedom = (used().count() - 1) as f64;
    (used().map(square).sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
}

fn each_code_has_its_share_to_the_last_bit(_: Arc<Gpu>) -> Result<(), Failed> {
    ensure(Histogram::new(&[]).is_none(), "codes of none")?;
    ensure(Histogram::new(&[0, 0]).is_none(), "codes that are not used")?;
    let thirds = Histogram::new(&[0, 1, 0, 2, 0]).unwrap();
    let edge = u64::MAX / 3;
    let cases = [(0, 1), (edge, 1), (edge + 1, 3), (u64::MAX, 3)];
    for (random, code) in cases {
        let got = thirds.code(random);
        ensure(got == code, format!("{random} gives {got}, not {code}"))?;
    }
    // Counts whose sum float32 does not hold.
    let large = Histogram::new(&[u64::from(u32::MAX), 1, u64::from(u32::MAX)]).unwrap();
    ensure(
        large.code(1 << 63) == 1,
        "the one in the middle is not found",
    )
}

fn codes_have_the_frequencies_of_the_histogram(_: Arc<Gpu>) -> Result<(), Failed> {
    let counts: Vec<u64> = (0..300)
        .map(|k| if k % 7 == 3 { 0 } else { k * k })
        .collect();
    let histogram = Histogram::new(&counts).unwrap();
    let stream = Stream::named(5, "draws of a test");
    let mut found = vec![0; counts.len()];
    for i in 0..4_000_000 {
        let [low, high, ..] = stream.words(i);
        found[histogram.code(u64::from(high) << 32 | u64::from(low))] += 1;
    }
    let never = found.iter().zip(&counts).all(|(f, c)| *c > 0 || *f == 0);
    ensure(never, "a code is drawn that was never used")?;
    let shares: Vec<f64> = counts.iter().map(|c| *c as f64).collect();
    let off = off(&found, &shares);
    ensure(off.abs() < SIGMAS, format!("{off} standard deviations off"))
}

/// Of whole sessions, with codebooks, without one, and with a posterior; and with the codes of a batch before the first step.
fn sessions_draw_from_what_they_used(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in ["replace", "fsq", "sqvae", "vmf"] {
        let mut session = session(&gpu, small(method))?;
        for steps in [0, 5] {
            run(&mut session, steps)?;
            let codes = pollster::block_on(session.draw_codes(500, 3))?;
            let usage = pollster::block_on(session.code_usage(0))?.unwrap();
            ensure(
                codes.len() == 1 && codes[0].shape == [500, 7, 7],
                "another shape",
            )?;
            let mut found = vec![0; usage.counts.len()];
            codes[0].values.iter().for_each(|k| found[*k as usize] += 1);
            if steps == 0 {
                ensure(usage.counts.iter().all(|c| *c == 0.0), "used before a step")?;
                continue;
            }
            let shares: Vec<f64> = usage.counts.iter().map(|c| f64::from(*c)).collect();
            if shares.iter().filter(|s| **s > 0.0).count() > 1 {
                let off = off(&found, &shares);
                ensure(
                    off < SIGMAS,
                    format!("{method}: {off} standard deviations off"),
                )?;
            }
            let never = found.iter().zip(&shares).all(|(f, s)| *s > 0.0 || *f == 0);
            ensure(
                never,
                format!("{method}: a code is drawn that was never used"),
            )?;
        }
    }
    Ok(())
}

fn a_seed_and_a_step_have_their_pictures(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut one = session(&gpu, small("fsq"))?;
    run(&mut one, 4)?;
    let draw = |session: &Session, seed| pollster::block_on(session.draw(3, seed));
    let drawn = draw(&one, 1)?;
    ensure(drawn.shape == [1, 28, 28], "another shape")?;
    ensure(drawn.pixels.len() == 3 * 784, "not three pictures")?;
    ensure(
        draw(&one, 1)?.pixels == drawn.pixels,
        "twice, and not alike",
    )?;
    ensure(draw(&one, 2)?.pixels != drawn.pixels, "two seeds are alike")?;
    let kept = checkpoint(&one)?;
    let mut other = session(&gpu, small("fsq"))?;
    other.restore(&kept)?;
    ensure(
        draw(&other, 1)?.pixels == drawn.pixels,
        "restored, and not alike",
    )?;
    // Drawing leaves the training as it is.
    let straight = run(&mut one, 2)?;
    ensure(run(&mut other, 2)? == straight, "it goes on otherwise")
}

fn without_codes_it_says_so(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let options = json!({"batch": 8, "vq": {"no_vq": true, "feature_size": 8}});
    let error = pollster::block_on(session(&gpu, options)?.draw(2, 0)).unwrap_err();
    let line = error.to_string();
    ensure(line.contains("no quantiser") && !line.contains('\n'), line)
}

/// Both ends are the reconstructions, in between are other pictures, and between an image and itself is nothing else.
fn what_is_between_two_images(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in ["vq", "fsq", "sqvae-4"] {
        let mut session = session(&gpu, small(method))?;
        run(&mut session, 3)?;
        let test = &session.data().test;
        let image = |at: usize| -> semivq::Result<Images> {
            Ok(Images {
                shape: test.shape(),
                pixels: test.read_range(at..at + 1)?,
                labels: None,
            })
        };
        let (a, b) = (image(0)?, image(1)?);
        let between = |a, b, count| pollster::block_on(session.interpolate(a, b, count));
        let reconstructed = |image| pollster::block_on(session.reconstruct(image));
        let (of_a, of_b) = (reconstructed(&a)?, reconstructed(&b)?);
        let all = between(&a, &b, 5)?;
        ensure(all.len() == 5, "not as many as were asked for")?;
        ensure(
            all.range(0, 1) == of_a.pixels && all.range(4, 5) == of_b.pixels,
            format!("{method}: the ends are no reconstructions"),
        )?;
        let same = between(&a, &a, 3)?;
        ensure(
            same.pixels == of_a.pixels.repeat(3),
            format!("{method}: between an image and itself is another one"),
        )?;
        ensure(between(&a, &b, 1).is_err(), "one picture has no two ends")?;
    }
    Ok(())
}

fn main() {
    let tests: &[(&str, Test)] = &[
        (
            "each code has its share to the last bit",
            each_code_has_its_share_to_the_last_bit,
        ),
        (
            "codes have the frequencies of the histogram",
            codes_have_the_frequencies_of_the_histogram,
        ),
        (
            "sessions draw from what they used",
            sessions_draw_from_what_they_used,
        ),
        (
            "a seed and a step have their pictures",
            a_seed_and_a_step_have_their_pictures,
        ),
        ("without codes it says so", without_codes_it_says_so),
        ("what is between two images", what_is_between_two_images),
    ];
    run_all(support::gpu(), tests)
}
