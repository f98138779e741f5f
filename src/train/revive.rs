//! What to try when a run ends with most of its codes dead.

use super::{Evaluation, TrainOptions};
use crate::quant::VectorQuantConfig;

/// With fewer codes than this a few unused ones are no collapse.
const MANY: usize = 16;
/// Percent of the codes below which most are dead.
const FEW: f64 = 25.0;

/// Options that bring dead codes back, with values as they are typed, where `test` says that most of the codes of
/// a run of `options` are dead: the first by itself, the others beside what the run had. Empty where enough are in use.
#[must_use]
pub fn revive(options: &TrainOptions, test: &Evaluation) -> Vec<(&'static str, String)> {
    let vq = VectorQuantConfig::from(&options.quantizer);
    let dead = test.active_ratio.is_some_and(|active| active < FEW);
    if !dead || vq.num_codes < MANY {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut add = |name, value: &dyn ToString| all.push((name, value.to_string()));
    let moves = vq.fsq_levels.is_none() && !vq.simvq && vq.stochastic.is_none();
    let replaces = vq.replace_freq > 0 || vq.replace_below > 0.0;
    if options.method != super::Method::Best {
        add("method", &"best");
    }
    if moves && !replaces {
        add("replace_freq", &20);
    }
    if moves && vq.codebook_init != crate::quant::codebook::CodebookInit::Kmeans {
        add("codebook_init", &"kmeans");
    }
    if vq.replace_freq > 20 {
        add("replace_freq", &20);
    }
    if vq.fsq_levels.is_none() {
        add("num_codes", &(vq.num_codes / 4));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tried(options: serde_json::Value, active: f64) -> String {
        let options = TrainOptions::from_partial(options).unwrap();
        let test = Evaluation {
            images: 1,
            l1: 0.0,
            mse: 0.0,
            psnr: None,
            ssim: None,
            perplexity: Some(1.0),
            active_ratio: Some(active),
            others: std::collections::BTreeMap::new(),
        };
        let all = revive(&options, &test);
        let all = all.iter().map(|(name, value)| format!("{name} {value}"));
        all.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_is_tried_is_what_the_run_had_not() {
        for (options, active, want) in [
            (
                json!({}),
                3.0,
                "method best, replace_freq 20, codebook_init kmeans, num_codes 64",
            ),
            (json!({}), 25.0, ""),
            (json!({"vq": {"num_codes": 8}}), 12.5, ""),
            (json!({"method": "simvq"}), 3.0, "method best, num_codes 64"),
            (json!({"method": "fsq"}), 3.0, "method best"),
            (
                json!({"method": "approach1++", "vq": {"codebook_init": "kmeans"}}),
                3.0,
                "method best, replace_freq 20, num_codes 64",
            ),
            (json!({"method": "best"}), 3.0, "num_codes 64"),
        ] {
            assert_eq!(tried(options.clone(), active), want, "{options}");
        }
    }
}
