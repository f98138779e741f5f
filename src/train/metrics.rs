//! What a training step reports.

use serde::{Deserialize, Serialize};

use crate::gpu::{Recorder, Var};
use crate::quant::Vectors;
use crate::quant::codebook::Record;
use crate::quant::usage::Window;

/// Declares the scalars of a step once: the struct, and where each comes from.
macro_rules! step_metrics {
    ($($(#[$doc:meta])* $name:ident = $source:expr;)*) => {
        /// What a step reports.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
        pub struct StepMetrics {
            /// Counts from 1.
            pub step: u32,
            /// Reconstruction loss of the batch.
            pub rec_loss: f32,
            $($(#[$doc])*
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub $name: Option<f32>,)*
        }

        /// The scalars of a step and their tensors.
        #[derive(Debug)]
        pub(super) struct Scalars {
            rec_loss: Var,
            optional: Vec<(&'static str, Var)>,
        }

        impl Scalars {
            pub(super) fn new(rec_loss: Var, record: Option<&Record>) -> Self {
                let mut optional = Vec::new();
                if let Some(record) = record {
                    $(let source: fn(&Record) -> Option<Var> = $source;
                    optional.extend(source(record).map(|var| (stringify!($name), var)));)*
                }
                Self { rec_loss, optional }
            }

            /// The metrics of `step` from the values of [`Self::vars`].
            pub(super) fn metrics(&self, step: u32, values: &[f32]) -> StepMetrics {
                let mut metrics = StepMetrics { step, rec_loss: values[0], ..StepMetrics::default() };
                for ((name, _), value) in self.optional.iter().zip(&values[1..]) {
                    match *name {
                        $(stringify!($name) => metrics.$name = Some(*value),)*
                        _ => {}
                    }
                }
                metrics
            }
        }
    };
}

step_metrics! {
    /// Commitment loss; absent without a quantiser, as all below.
    cmt_loss = |r| Some(r.loss);
    /// Perplexity of the batch.
    perplexity = |r| Some(r.perplexity);
    /// Percent of the codes that the batch used.
    active_ratio = |r| Some(r.active_ratio);
    /// Percent of the vectors that the most used code has.
    top_share = |r| Some(r.top_share);
    /// Perplexity of the last epoch's worth of vectors.
    epoch_perplexity = |r| r.window.map(|w| w.perplexity);
    /// Percent of the codes that they used.
    epoch_active_ratio = |r| r.window.map(|w| w.active_ratio);
    /// Mean age of the codes: steps since a code was used last.
    age_mean = |r| r.window.map(|w| w.age_mean);
    /// The greatest age.
    age_max = |r| r.window.map(|w| w.age_max);
    /// Mean of alpha, with Approach 1.
    alpha_mean = |r| r.alpha_mean;
    /// The penalty on alpha, where it has a weight.
    alpha_penalty = |r| r.penalty;
    /// Vectors before the quantiser whose squared distance is NaN or infinite.
    bad_vectors = |r| Some(r.bad_vectors);
}

impl Scalars {
    /// The tensors, one value each, in the order of the values.
    pub(super) fn vars(&self) -> impl Iterator<Item = Var> + '_ {
        std::iter::once(self.rec_loss).chain(self.optional.iter().map(|(_, var)| *var))
    }

    /// Whether there is a scalar of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.optional.iter().any(|(n, _)| *n == name)
    }
}

/// What the host reads of a record besides the scalars.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordInfo {
    /// Codes.
    pub(super) codes: usize,
    /// Vectors of a batch.
    pub(super) vectors: usize,
    /// The usage histogram of the window.
    pub(super) window: Option<Window>,
    /// How the vectors lie in z and z_q.
    pub(super) layout: Vectors,
    pub(super) z: Var,
    pub(super) z_q: Var,
    pub(super) q: Var,
    pub(super) effective: Option<Var>,
    pub(super) scale: Option<Var>,
    pub(super) gamma: Option<Var>,
}

impl RecordInfo {
    pub(super) fn new(rec: &Recorder<'_>, record: &Record, layout: Vectors) -> Self {
        Self {
            codes: rec.len(record.counts),
            vectors: rec.len(record.q),
            window: record.window,
            layout,
            z: record.z,
            z_q: record.z_q,
            q: record.q,
            effective: record.effective,
            scale: record.scale,
            gamma: record.gamma,
        }
    }
}
