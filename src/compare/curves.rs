//! Metrics over the steps: of each run, thinned, and of a group, as means with bands.

use std::collections::BTreeMap;

use super::table::Group;
use crate::train::StepMetrics;

/// Points of a run's curve at most.
const POINTS: usize = 200;

/// A run's metrics over its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Its group.
    pub group: Group,
    /// Its seed.
    pub seed: u64,
    /// Steps, each with the metrics by name.
    pub points: Vec<(u32, BTreeMap<String, f64>)>,
}

/// The metrics of `line` by name.
fn values(line: &StepMetrics) -> BTreeMap<String, f64> {
    let line = serde_json::to_value(line).unwrap_or_default();
    let fields = line.as_object().into_iter().flatten();
    let numbers = fields.filter(|(name, _)| *name != "step");
    numbers
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

/// Means of neighbouring lines, so many that [`POINTS`] are left; each stands at the last step of its own, so that
/// runs of one length have points at the same steps.
pub(super) fn thinned(lines: &[StepMetrics], goal: usize) -> Vec<(u32, BTreeMap<String, f64>)> {
    let every = goal.max(lines.len()).div_ceil(POINTS).max(1);
    let point = |chunk: &[StepMetrics]| {
        let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for line in chunk {
            for (name, value) in values(line) {
                let sum = sums.entry(name).or_default();
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
        }
        let step = chunk.last().map_or(0, |l| l.step);
        // What is shown needs no more digits.
        let mean = |(sum, count): (f64, f64)| f64::from((sum / count) as f32);
        let means = sums.into_iter().map(|(name, sum)| (name, mean(sum)));
        (step, means.collect())
    };
    lines.chunks(every).map(point).collect()
}

/// Mean, least and greatest value over the seeds at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The step.
    pub step: u32,
    /// Mean over the seeds.
    pub mean: f64,
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

/// A metric of a group over the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The group.
    pub group: Group,
    /// By step.
    pub bands: Vec<Band>,
}

/// The curves of `metric`, of each group that has it, in the order of `groups`.
pub(super) fn curves(traces: &[Trace], groups: &[Group], metric: &str) -> Vec<Curve> {
    let curve = |group: &Group| {
        let mut at: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for trace in traces.iter().filter(|t| t.group == *group) {
            for (step, values) in &trace.points {
                if let Some(value) = values.get(metric).filter(|v| v.is_finite()) {
                    at.entry(*step).or_default().push(*value);
                }
            }
        }
        let band = |(step, values): (u32, Vec<f64>)| Band {
            step,
            mean: values.iter().sum::<f64>() / values.len() as f64,
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        };
        Curve {
            group: group.clone(),
            bands: at.into_iter().map(band).collect(),
        }
    };
    let all = groups.iter().map(curve);
    all.filter(|c| !c.bands.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_thinned_to_means_and_seeds_to_bands() {
        let lines = |scale: f32| -> Vec<StepMetrics> {
            (1..=1000)
                .map(|step| StepMetrics {
                    step,
                    rec_loss: scale * step as f32,
                    ..StepMetrics::default()
                })
                .collect()
        };
        let group = Group {
            method: "vq".into(),
            values: vec![],
        };
        let trace = |seed, scale| Trace {
            group: group.clone(),
            seed,
            points: thinned(&lines(scale), 1000),
        };
        let traces = [trace(0, 1.0), trace(1, 3.0)];
        assert_eq!(traces[0].points.len(), POINTS);
        let curves = curves(&traces, std::slice::from_ref(&group), "rec_loss");
        // Of steps 1 to 5.
        let first = Band {
            step: 5,
            mean: 6.0,
            low: 3.0,
            high: 9.0,
        };
        assert_eq!(curves[0].bands[0], first);
    }
}
