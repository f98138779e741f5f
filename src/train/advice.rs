//! What to say when a run diverges, and what to try.

use super::Session;
use crate::error::Error;
use crate::optim::Optimizer;
use crate::quant::Factor;

impl Session {
    /// What to say when the loss, or whatever `what` is, is `value` at `step`, `moves` steps of the
    /// parameters having had a part in it.
    pub(super) fn diverged(
        &self,
        what: &str,
        step: u32,
        moves: u32,
        value: f32,
        bad: u32,
    ) -> Error {
        let all: usize = self.seen.iter().map(|(_, s)| s.vectors.count()).sum();
        let vectors = match bad {
            0 => String::new(),
            bad => format!(
                " ({bad} of the {all} vectors before the quantiser, or their squared distances, are NaN or infinite)"
            ),
        };
        Error::Diverged {
            what: what.to_owned(),
            step,
            value,
            vectors,
            advice: self.advice(moves),
        }
    }

    /// The factors of gradients and steps that are far above what anybody trains with, as
    /// `NAME (now VALUE)`.
    fn far_above_usual(&self) -> Vec<String> {
        const FAR: f32 = 100.0;
        let (Optimizer::Adamw { weight_decay, .. } | Optimizer::Sgd { weight_decay, .. }) =
            self.options.optimizer;
        let factor = |name, value, usual| Factor { name, value, usual };
        let quantizers = self.model.quantizers();
        let own = quantizers.iter().flat_map(|(_, q)| q.factors());
        let commitment = self.model.commitment_weight();
        let all = [factor("commitment_weight", commitment, 10.0)]
            .into_iter()
            .chain(own)
            .chain([factor("weight_decay", weight_decay, 0.01)]);
        all.filter(|f| f.value > FAR * f.usual)
            .map(|f| format!("`{}` (now {:e})", f.name, f.value))
            .collect()
    }

    /// What to try after NaN or infinity, `moves` steps of the parameters having led to it.
    fn advice(&self, moves: u32) -> String {
        /// Above what AdamW learns with.
        const LARGE: f32 = 0.03;
        let mut names = self.far_above_usual();
        let weights = "the weights of the losses";
        // What no step led to is not the learning rate's fault.
        if moves == 0 {
            return match (self.began, names.is_empty()) {
                (0, true) => format!("no step was taken before it, so lower {weights}"),
                (0, false) => {
                    format!("no step was taken before it, so lower {}", any_of(&names))
                }
                (_, true) => "the checkpoint's own values lead to it: take an earlier one".into(),
                (_, false) => format!("lower {}", any_of(&names)),
            };
        }
        let usual = names.is_empty();
        let lr = self.options.lr;
        if usual || lr > LARGE {
            names.insert(0, format!("`lr` (now {lr:e})"));
        }
        let quantizers = self.model.quantizers();
        if let Some((option, why)) = quantizers.iter().find_map(|(_, q)| q.unbounded()) {
            let option = format!("`{option}`");
            if !names.iter().any(|n| n.contains(&option)) {
                names.push(option);
            }
            return format!("lower {}: {why}", any_of(&names));
        }
        if usual && lr <= LARGE {
            names.push(weights.into());
        }
        format!("lower {}", any_of(&names))
    }
}

/// `a, b or c`
fn any_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
