//! The prior over code maps: what it draws one position a step has the probabilities that the whole network gives it,
//! runs repeat and go on, and it learns how codes stand together.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::prior::cross_entropy::cross_entropy;
use semivq::prior::{Histogram, Map, Origin, Prior, PriorOptions, Sampling, Sequences, Tokens};
use semivq::rng::Stream;
use support::command::ensure;
use support::session::{Test, run_all};
use support::{normals, share_of_tolerance};

/// Two quantisers: 2 x 3 codes of 7, 2 codes of 4.
fn sequences() -> Sequences {
    let map = |shape: [usize; 2], codes| Map {
        shape: shape.to_vec(),
        codes,
    };
    Sequences {
        maps: vec![map([2, 3], 7), map([1, 2], 4)],
    }
}

fn options() -> PriorOptions {
    PriorOptions {
        width: 24,
        heads: 3,
        blocks: 2,
        batch: 16,
        steps: 60,
        lr: 1e-2,
        seed: 5,
    }
}

/// Images whose codes depend on the first one: it is random, each other one follows from the one before, but for one in
/// eight.
fn related(images: usize, seed: u64) -> Tokens {
    let sequences = sequences();
    let ranges = sequences.ranges();
    let length = sequences.length();
    let stream = Stream::named(seed, "related");
    let mut values = Vec::new();
    for image in 0..images {
        let mut before = 0;
        for position in 0..length {
            let [first, count] = [ranges[2 * position], ranges[2 * position + 1]];
            let [a, b, ..] = stream.words((image * length + position) as u32);
            let random = position == 0 || a % 8 == 0;
            let code = if random { b } else { 2 * before + 3 } % count;
            values.push(first + code);
            before = code;
        }
    }
    Tokens::new(length, values)
}

fn trained(gpu: &Arc<Gpu>, steps: u32) -> Result<Prior, Failed> {
    let mut prior = Prior::new(Arc::clone(gpu), sequences(), options())?;
    pollster::block_on(prior.train(&related(200, 1), steps))?;
    Ok(prior)
}

/// For each position of `row` the cross-entropy of every code that it can have, the codes before being those of the row.
fn alternatives(prior: &Prior, row: &[u32]) -> Result<Vec<Vec<(u32, f32)>>, Failed> {
    let ranges = sequences().ranges();
    let mut all = Vec::new();
    let mut places = Vec::new();
    for position in 0..row.len() {
        let [first, count] = [ranges[2 * position], ranges[2 * position + 1]];
        for code in first..first + count {
            let mut other = row.to_vec();
            other[position] = code;
            all.extend(other);
            places.push((position, code));
        }
    }
    let losses = pollster::block_on(prior.losses(&Tokens::new(row.len(), all)))?;
    let mut found = vec![Vec::new(); row.len()];
    for (losses, (position, code)) in losses.chunks(row.len()).zip(places) {
        found[position].push((code, losses[position]));
    }
    for (position, codes) in found.iter().enumerate() {
        let sum: f32 = codes.iter().map(|(_, loss)| (-loss).exp()).sum();
        ensure(
            (sum - 1.0).abs() < 1e-5,
            format!("the probabilities at {position} sum to {sum}"),
        )?;
    }
    Ok(found)
}

/// At temperature 0 the likeliest code of the whole network; of the likeliest two where so many are asked for.
fn one_position_at_a_time_is_the_whole(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let prior = trained(&gpu, 20)?;
    for (temperature, top_k) in [(0.0, None), (3.0, Some(1)), (3.0, Some(2))] {
        let how = Sampling {
            seed: 3,
            temperature,
            top_k,
        };
        let drawn = pollster::block_on(prior.sample(3, how))?;
        for row in drawn.values().chunks(8) {
            for (code, mut codes) in row.iter().zip(alternatives(&prior, row)?) {
                let own = codes.iter().find(|(c, _)| c == code).unwrap().1;
                codes.sort_by(|a, b| a.1.total_cmp(&b.1));
                let least = codes[top_k.unwrap_or(1) - 1].1;
                ensure(
                    own <= least + 1e-5,
                    format!("{how:?}: {code} at {own}, and {codes:?}"),
                )?;
            }
        }
    }
    Ok(())
}

/// Drawn codes are as frequent as they are likely: of the first position, and of the second behind the likeliest first.
fn drawn_codes_have_their_probability(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let prior = trained(&gpu, 20)?;
    let how = Sampling {
        seed: 11,
        temperature: 1.0,
        top_k: None,
    };
    let drawn = pollster::block_on(prior.sample(6400, how))?;
    let rows: Vec<&[u32]> = drawn.values().chunks(8).collect();
    let likely = alternatives(&prior, rows[0])?[0].clone();
    let first = likely.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    let behind: Vec<&[u32]> = rows.iter().copied().filter(|r| r[0] == first).collect();
    for (position, rows) in [(0, rows), (1, behind)] {
        let codes = alternatives(&prior, rows[0])?[position].clone();
        let n = rows.len() as f64;
        let mut square = 0.0;
        for (code, loss) in &codes {
            let expected = n * f64::from(-loss).exp();
            let got = rows.iter().filter(|r| r[position] == *code).count() as f64;
            square += (got - expected).powi(2) / expected;
        }
        let freedom = (codes.len() - 1) as f64;
        let off = (square - freedom) / (2.0 * freedom).sqrt();
        println!("  position {position}: {off:.2} standard deviations in {n} draws");
        ensure(off < 6.0, format!("chi-square of {square}"))?;
    }
    Ok(())
}

fn samples_are_a_function_of_their_seed_and_number(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let prior = trained(&gpu, 5)?;
    let sample = |count, seed| {
        let how = Sampling {
            seed,
            ..Sampling::default()
        };
        pollster::block_on(prior.sample(count, how))
    };
    let many = sample(70, 1)?;
    ensure(many == sample(70, 1)?, "the same seed draws the same")?;
    let few = sample(3, 1)?;
    ensure(
        many.values()[..24] == *few.values(),
        "the first ones are the same whatever the count",
    )?;
    ensure(few != sample(3, 2)?, "another seed draws others")?;
    let rows: Vec<&[u32]> = many.values().chunks(8).collect();
    let different = rows.iter().filter(|r| **r != rows[0]).count();
    ensure(different > 60, format!("only {different} of 69 differ"))
}

fn training_repeats_and_goes_on(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let tokens = related(200, 1);
    let origin = Origin {
        step: 3,
        checksum: 7,
    };
    let bytes = |prior: &Prior| pollster::block_on(prior.to_bytes(&origin));
    let whole = bytes(&trained(&gpu, 9)?)?;
    ensure(whole == bytes(&trained(&gpu, 9)?)?, "a run repeats")?;
    let half = bytes(&trained(&gpu, 4)?)?;
    let (mut prior, of) = Prior::from_bytes(Arc::clone(&gpu), &half)?;
    ensure(of == origin, "the origin is kept")?;
    pollster::block_on(prior.train(&tokens, 5))?;
    ensure(
        whole == bytes(&prior)?,
        "a run that goes on is the whole one",
    )?;
    for (bytes, want) in [
        (&whole[..whole.len() - 5], "no complete safetensors file"),
        (b"no file", "no complete safetensors file"),
    ] {
        let error = Prior::from_bytes(Arc::clone(&gpu), bytes).err().unwrap();
        ensure(error.to_string().contains(want), error.to_string())?;
    }
    Ok(())
}

fn it_learns_how_codes_stand_together(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let (train, test) = (related(400, 1), related(150, 2));
    let mut prior = Prior::new(gpu, sequences(), options())?;
    let before = pollster::block_on(prior.bits(&test))?;
    pollster::block_on(prior.train(&train, 60))?;
    let after = pollster::block_on(prior.bits(&test))?;
    let histogram = Histogram::of(&sequences(), &train).bits(&test);
    println!("  bits a code: {before:.3} at first, {after:.3}, by the histogram {histogram:.3}");
    ensure(before > histogram - 0.1, "nothing is known at first")?;
    ensure(
        after < 0.7 * histogram,
        format!("{after} bits, {histogram} by the histogram"),
    )
}

/// The kernel for many codes and that for few, beside plain loops.
fn cross_entropy_of_many_codes(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for (tokens, ranges) in [
        (1500, [[0, 1500], [3, 1031], [1499, 1]]),
        (700, [[0, 700], [690, 10], [5, 257]]),
        (1, [[0, 1]; 3]),
    ] {
        let rows = 12;
        let goal: Vec<u32> = (0..rows)
            .map(|r| {
                let [first, count] = ranges[r % 3];
                first + (r * 7919) as u32 % count
            })
            .collect();
        let x = normals("logits", rows * tokens);
        let mut layout = ParameterLayout::guarded();
        let mut rec = Recorder::new(&mut layout, true).tuned_for(&gpu);
        let x_var = rec.input("x", &[rows, tokens]);
        rec.require_gradient(x_var);
        let goal_var = rec.input("goal", &[rows]);
        let ranges_var = rec.input("ranges", &[3, 2]);
        let foretold = cross_entropy(&mut rec, x_var, goal_var, ranges_var, 3.0)?;
        rec.keep(foretold.losses);
        rec.backward()?;
        let grad = rec.gradient(x_var).unwrap();
        rec.keep(grad);
        let recording = rec.finish();
        let store = Store::new(&gpu, layout, 0)?;
        let plan = recording.build(&gpu, &store, BuildOptions { guarded: true })?;
        plan.write(&gpu, x_var, &x)?;
        plan.write(&gpu, goal_var, &goal)?;
        plan.write(&gpu, ranges_var, &ranges)?;
        plan.run(&gpu, &StepValues::default())?;
        pollster::block_on(plan.check_guards(&gpu))?;
        let (mut losses, mut grads) = (Vec::new(), vec![0.0; x.len()]);
        for (r, row) in x.chunks(tokens).enumerate() {
            let [first, count] = ranges[r % 3].map(|v| v as usize);
            let own = &row[first..first + count];
            let sum: f64 = own.iter().map(|v| f64::from(*v).exp()).sum();
            losses.push((sum.ln() - f64::from(row[goal[r] as usize])) as f32);
            for (k, v) in (first..).zip(own) {
                let here = f64::from(u8::from(goal[r] as usize == k));
                let slope = f64::from(*v).exp() / sum - here;
                grads[r * tokens + k] = (3.0 / rows as f64 * slope) as f32;
            }
        }
        let mean = losses.iter().sum::<f32>() / rows as f32;
        let read = |var| pollster::block_on(plan.read(&gpu, var));
        for (what, got, want) in [
            ("losses", read(foretold.losses)?, losses),
            ("loss", read(foretold.loss)?, vec![mean]),
            ("gradient", read(grad)?, grads),
        ] {
            let share = share_of_tolerance(&got, &want, 2e-5, 1e-6);
            ensure(share <= 1.0, format!("{tokens} codes: {what} at {share}"))?;
        }
    }
    Ok(())
}

fn what_is_out_of_range_is_refused(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let with = |change: &dyn Fn(&mut PriorOptions)| {
        let mut options = options();
        change(&mut options);
        Prior::new(Arc::clone(&gpu), sequences(), options)
    };
    for (prior, want) in [
        (with(&|o| o.heads = 5), "heads (5) must divide width (24)"),
        (with(&|o| o.width = 25), "into multiples of four"),
        (with(&|o| o.blocks = 0), "blocks must be a whole number"),
        (with(&|o| o.batch = 0), "batch must be a whole number"),
        (with(&|o| o.lr = f32::NAN), "lr must be"),
    ] {
        let error = prior.err().ok_or(want)?.to_string();
        ensure(error.contains(want), format!("{error:?} lacks {want:?}"))?;
    }
    let mut prior = with(&|_| {})?;
    let none = Tokens::new(8, Vec::new());
    ensure(
        pollster::block_on(prior.train(&none, 1)).is_err(),
        "no images to train on",
    )?;
    ensure(
        pollster::block_on(prior.bits(&none)).is_err(),
        "no images to foretell",
    )
}

fn main() {
    let tests: &[(&str, Test)] = &[
        (
            "one position at a time is the whole",
            one_position_at_a_time_is_the_whole,
        ),
        (
            "drawn codes have their probability",
            drawn_codes_have_their_probability,
        ),
        (
            "samples are a function of their seed and number",
            samples_are_a_function_of_their_seed_and_number,
        ),
        ("training repeats and goes on", training_repeats_and_goes_on),
        (
            "it learns how codes stand together",
            it_learns_how_codes_stand_together,
        ),
        ("cross-entropy of many codes", cross_entropy_of_many_codes),
        (
            "what is out of range is refused",
            what_is_out_of_range_is_refused,
        ),
    ];
    run_all(support::gpu(), tests)
}
