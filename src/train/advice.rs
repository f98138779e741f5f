//! What to say when a run diverges, and what to try.

use super::Session;
use crate::error::Error;
use crate::optim::Optimizer;
use crate::quant::codebook::AlterPenalty;

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
        let vectors = match &self.record {
            Some(record) if bad > 0 => format!(
                " ({bad} of the {} vectors before the quantiser, or their squared distances, are NaN or infinite)",
                record.vectors
            ),
            _ => String::new(),
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
        let vq = self.model.quantizer().1.config();
        let (Optimizer::Adamw { weight_decay, .. } | Optimizer::Sgd { weight_decay, .. }) =
            self.options.optimizer;
        let in_place = vq.inplace_optimizer.map_or(0.0, |(lr, _)| lr);
        let all = [
            ("commitment_weight", self.model.commitment_weight(), 10.0),
            ("penalty_weight", vq.penalty_weight, 1.0),
            ("sync_nu", vq.sync_nu, 2.0),
            ("affine_lr", vq.affine_lr, 2.0),
            ("inplace_optimizer", in_place, 10.0),
            ("weight_decay", weight_decay, 0.01),
        ];
        let far = all
            .into_iter()
            .filter(|(_, value, usual)| *value > FAR * usual);
        far.map(|(name, value, _)| format!("`{name}` (now {value:e})"))
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
        let vq = self.model.quantizer().1.config();
        let bounded = vq.alter_penalty == AlterPenalty::Between1;
        if self.scalars.has("alpha_penalty") && !bounded {
            if !names.iter().any(|n| n.contains("`penalty_weight`")) {
                names.push("`penalty_weight`".into());
            }
            return format!(
                "lower {}: the penalty on alpha has no lower bound",
                any_of(&names)
            );
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
