//! What a training step reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gpu::Var;
use crate::quant::Seen;

/// Declares the scalars that files and charts know: the struct, and how they are set by name.
macro_rules! step_metrics {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// What a step reports.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        pub struct StepMetrics {
            /// Counts from 1.
            pub step: u32,
            /// Reconstruction loss of the batch.
            pub rec_loss: f32,
            $($(#[$doc])*
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub $name: Option<f32>,)*
            /// Whatever else its quantiser reports; of several quantisers all that they do, as
            /// `NAME.perplexity`, and of several code maps of one, whose own columns are those of all of them together.
            #[serde(flatten)]
            pub others: BTreeMap<String, f32>,
        }

        impl StepMetrics {
            fn set(&mut self, name: &str, value: f32) {
                match name {
                    $(stringify!($name) => self.$name = Some(value),)*
                    // JSON has no other numbers, and an absent one can be read back.
                    _ if !value.is_finite() => {}
                    _ => {
                        self.others.insert(name.to_owned(), value);
                    }
                }
            }
        }
    };
}

step_metrics! {
    /// Commitment loss; absent without a quantiser, as all below.
    cmt_loss;
    /// Perplexity of the batch.
    perplexity;
    /// Percent of the codes that the batch used.
    active_ratio;
    /// Percent of the vectors that the most used code has.
    top_share;
    /// Perplexity of the last epoch's worth of vectors.
    epoch_perplexity;
    /// Percent of the codes that they used.
    epoch_active_ratio;
    /// Mean age of the codes: steps since a code was used last.
    age_mean;
    /// The greatest age.
    age_max;
    /// Mean of alpha, with Approach 1.
    alpha_mean;
    /// The penalty on alpha, where it has a weight.
    alpha_penalty;
    /// Mean entropy of the posteriors of the batch's vectors over the codes, nats; of stochastic quantisation.
    posterior_entropy;
    /// Mean variance of its values, in the square of their units; of directions 1 over the concentration.
    variance_mean;
    /// Norm of all gradients together before they are clipped, where they are.
    grad_norm;
    /// Learning rate, where it changes over the steps.
    lr;
}

/// A scalar of a quantiser.
#[derive(Debug)]
enum Scalar {
    /// Goes into the metrics under this name; whether it is a loss.
    Named(String, bool),
    /// One of several code maps of the model's only quantiser, whose column this is, too.
    Part(&'static str),
    /// Vectors before the quantiser whose squared distance is NaN or infinite. A step with one is an
    /// error, so their number is not worth a column.
    BadVectors,
}

/// The figures of several code maps as those of one quantiser: of losses and penalties the sum, of the greatest age the
/// greatest, of all others the mean.
#[derive(Default)]
struct Together(Vec<(&'static str, f32, usize)>);

impl Together {
    fn add(&mut self, name: &'static str, value: f32) {
        match self.0.iter_mut().find(|(own, ..)| *own == name) {
            Some((_, sum, _)) if name == "age_max" => *sum = sum.max(value),
            Some((_, sum, count)) => (*sum, *count) = (*sum + value, *count + 1),
            None => self.0.push((name, value, 1)),
        }
    }

    fn report(self, metrics: &mut StepMetrics) {
        for (name, sum, count) in self.0 {
            let whole = name.ends_with("_loss") || name.ends_with("_penalty");
            metrics.set(name, if whole { sum } else { sum / count as f32 });
        }
    }
}

/// The scalars of a step and their tensors.
#[derive(Debug)]
pub(super) struct Scalars {
    rec_loss: Var,
    others: Vec<(Scalar, Var)>,
    /// Parts of a batch, over which all but those of the codes' usage are means.
    parts: usize,
}

/// What a step reports, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) metrics: StepMetrics,
    /// A loss that is NaN or infinite.
    pub(super) lost: Option<f32>,
    /// Vectors before the quantisers that are.
    pub(super) bad_vectors: u32,
}

impl Scalars {
    /// `quantizers` is their number.
    pub(super) fn new(
        rec_loss: Var,
        seen: &[(String, Seen)],
        quantizers: usize,
        grad_norm: Option<Var>,
        parts: usize,
    ) -> Self {
        let mut others = Vec::new();
        let together = quantizers == 1 && seen.len() > 1;
        for (quantizer, own) in seen {
            let name = |name: &str| match seen.len() {
                1 => name.to_owned(),
                _ => format!("{quantizer}.{name}"),
            };
            others.push((Scalar::BadVectors, own.bad_vectors));
            let named = |(short, var): &(&str, Var)| {
                (Scalar::Named(name(short), short.ends_with("_loss")), *var)
            };
            others.extend(own.scalars.iter().map(named));
            if together {
                let part = |(short, var): &(&'static str, Var)| (Scalar::Part(short), *var);
                others.extend(own.scalars.iter().map(part));
            }
        }
        let norm = |var| (Scalar::Named("grad_norm".into(), false), var);
        others.extend(grad_norm.map(norm));
        Self {
            rec_loss,
            others,
            parts,
        }
    }

    /// The tensors, one value each, in the order of the values.
    pub(super) fn vars(&self) -> impl Iterator<Item = Var> + '_ {
        std::iter::once(self.rec_loss).chain(self.others.iter().map(|(_, var)| *var))
    }

    /// What `step` reports, from the values of [`Self::vars`].
    pub(super) fn report(&self, step: u32, values: &[f32]) -> Report {
        let rec_loss = values[0];
        let mut metrics = StepMetrics {
            step,
            rec_loss,
            ..StepMetrics::default()
        };
        let mut lost = Some(rec_loss).filter(|v| !v.is_finite());
        let mut bad_vectors = 0;
        let mut together = Together::default();
        for ((scalar, _), value) in self.others.iter().zip(&values[1..]) {
            match scalar {
                Scalar::BadVectors => bad_vectors += (*value * self.parts as f32).round() as u32,
                Scalar::Named(name, loss) => {
                    if *loss && !value.is_finite() {
                        lost = lost.or(Some(*value));
                    }
                    metrics.set(name, *value);
                }
                Scalar::Part(name) => together.add(name, *value),
            }
        }
        together.report(&mut metrics);
        Report {
            metrics,
            lost,
            bad_vectors,
        }
    }
}
