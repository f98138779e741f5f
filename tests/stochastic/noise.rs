//! The generator of the noise: uniform, independent, with the moments and the tail that it should have.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::Gpu;
use semivq::rng::Stream;

use super::SIGMAS;
use super::support::command::ensure;

/// Draws of the tests of uniformity.
const DRAWS: u32 = 1 << 24;
/// Cells of a histogram.
const CELLS: usize = 4096;
/// How many standard deviations the chi-square of `counts` against equal ones is off.
fn off(counts: &[u32]) -> f64 {
    let total: f64 = counts.iter().map(|c| f64::from(*c)).sum();
    let expected = total / counts.len() as f64;
    let square = |c: &u32| (f64::from(*c) - expected).powi(2) / expected;
    let freedom = (counts.len() - 1) as f64;
    (counts.iter().map(square).sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
}

/// A histogram of `DRAWS` places below [`CELLS`].
fn histogram(place: impl Fn(u32) -> usize) -> Vec<u32> {
    let mut counts = vec![0; CELLS];
    for i in 0..DRAWS {
        counts[place(i)] += 1;
    }
    counts
}

/// The top `bits` of a number in [0, 1).
fn top(value: f32, bits: u32) -> usize {
    (value * (1_u32 << bits) as f32) as usize
}

/// Uniform, and neither neighbours nor steps know of each other. A generator whose index is multiplied only
/// fails each of the three.
pub fn the_generator_is_uniform_and_independent(_: Arc<Gpu>) -> Result<(), Failed> {
    let [now, next] = [3, 4].map(|step| Stream::at_step(7, 11, step));
    let uniform = off(&histogram(|i| top(now.uniform(i), 12)));
    let pair = |a: f32, b: f32| 64 * top(a, 6) + top(b, 6);
    let neighbours = off(&histogram(|i| pair(now.uniform(i), now.uniform(i + 1))));
    let steps = off(&histogram(|i| pair(now.uniform(i), next.uniform(i))));
    for (name, sigmas) in [
        ("uniformity", uniform),
        ("neighbours", neighbours),
        ("steps", steps),
    ] {
        println!("  {name}: {sigmas:.2} standard deviations");
        ensure(
            sigmas.abs() < SIGMAS,
            format!("{name} is {sigmas} standard deviations off"),
        )?;
    }
    let broken = |i: u32, step: u32| {
        i.wrapping_add(step).wrapping_mul(2_654_435_761) as f32 / 4_294_967_296.0
    };
    let broken = |i: u32, step: u32| broken(i, step).min(0.999_999_9);
    let uniform = off(&histogram(|i| top(broken(i, 3), 12)));
    let neighbours = off(&histogram(|i| pair(broken(i, 3), broken(i + 1, 3))));
    let steps = off(&histogram(|i| pair(broken(i, 3), broken(i, 4))));
    for sigmas in [uniform, neighbours, steps] {
        ensure(
            sigmas.abs() > SIGMAS,
            format!("a broken one passes with {sigmas}"),
        )?;
    }
    Ok(())
}

/// Mean and variance of the Gumbel noise, and how often it is above 8.
pub fn gumbel_noise_has_its_moments_and_its_tail(_: Arc<Gpu>) -> Result<(), Failed> {
    let stream = Stream::at_step(5, 9, 2);
    let count = 1_u32 << 22;
    let (mut sum, mut squares, mut high) = (0.0, 0.0, 0);
    for i in 0..count {
        let g = f64::from(stream.gumbel(i));
        sum += g;
        squares += g * g;
        high += u32::from(g > 8.0);
    }
    let n = f64::from(count);
    let mean = sum / n;
    let variance = squares / n - mean * mean;
    let (euler, of_one) = (0.577_215_664_9, std::f64::consts::PI.powi(2) / 6.0);
    // The fourth central moment of a Gumbel variable is 5.4 times its squared variance.
    let bounds = [
        ("mean", mean - euler, (of_one / n).sqrt()),
        ("variance", variance - of_one, of_one * (4.4 / n).sqrt()),
    ];
    for (name, error, deviation) in bounds {
        println!("  {name}: {:.2} standard deviations", error / deviation);
        ensure(
            error.abs() < SIGMAS * deviation,
            format!("{name} is off by {error}"),
        )?;
    }
    let expected = n * (1.0 - (-(-8.0_f64).exp()).exp());
    let error = f64::from(high) - expected;
    println!("  tail: {high} above 8, expected {expected:.0}");
    ensure(
        error.abs() < SIGMAS * expected.sqrt(),
        format!("{high} above 8, not {expected}"),
    )
}
