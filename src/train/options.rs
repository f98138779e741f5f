//! What a run is: everything needed to repeat it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CheckpointEvery, Method, SessionOptions};
use crate::error::{Error, Result};
use crate::models::{Model, OutputClamp, Simple};
use crate::optim::Optimizer;
use crate::options::{self, COMMITMENT_WEIGHT, LOG_EVERY, STEPS};
use crate::vq::{VectorQuant, VectorQuantConfig};

/// A run's options. The defaults are those of the seed's README, but for `output_clamp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainOptions {
    /// The model's name.
    pub model: String,
    /// The method that set the quantiser's options; they may have been changed after it.
    pub method: Method,
    /// The quantiser.
    pub vq: VectorQuantConfig,
    /// Where the output is clamped.
    pub output_clamp: OutputClamp,
    /// Weight of the commitment loss.
    pub commitment_weight: f32,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Learning rate.
    pub lr: f32,
    /// Images a step.
    pub batch: usize,
    /// Seed of parameters and data order (and of the built-in data).
    pub seed: u64,
    /// Folder of the data set; none for the built-in one.
    pub data: Option<String>,
    /// Every how many steps a metrics line is written.
    pub log_every: u32,
    /// The goal: steps in all; none where nobody said (on the page, in version 0.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// When a checkpoint is written; none for the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<CheckpointEvery>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            model: "simple".into(),
            method: Method::Vq,
            vq: VectorQuantConfig::default(),
            output_clamp: OutputClamp::default(),
            commitment_weight: 10.0,
            optimizer: Optimizer::default(),
            lr: 3e-4,
            batch: 256,
            seed: 0,
            data: None,
            log_every: 1,
            steps: None,
            checkpoint_every: None,
        }
    }
}

/// `given` over `base`, objects key by key.
fn overlay(base: &mut Value, given: Value) {
    match (base, given) {
        (Value::Object(base), Value::Object(given)) => {
            for (key, value) in given {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, given) => *base = given,
    }
}

/// [`Error::Conflict`] names what `given` (JSON) has for an optimiser that `optimizer` is not.
fn refuse_foreign(given: &Value, optimizer: &Optimizer) -> Result<()> {
    let own = json!(optimizer);
    let given = given.get("optimizer").and_then(Value::as_object);
    let mut names = given.into_iter().flat_map(|g| g.keys());
    match names.find(|name| own.get(name.as_str()).is_none()) {
        None => Ok(()),
        Some(name) => Err(Error::Conflict(format!(
            "optimizer.{name} has no effect: the optimizer {} has none",
            optimizer.name()
        ))),
    }
}

impl TrainOptions {
    /// Options from some of them, as JSON: first the method, with the F and K that are given, then
    /// whatever else is given over it, then the defaults.
    ///
    /// # Errors
    /// [`Error::Config`] names an option that does not exist or whose value does not fit.
    pub fn from_partial(given: Value) -> Result<Self> {
        let refuse = |e: serde_json::Error| Error::Config(format!("options: {e}"));
        options::check_json(&given)?;
        let mut options = Self::default();
        if let Some(method) = given.get("method") {
            options.method = serde_json::from_value(method.clone()).map_err(refuse)?;
        }
        for (key, size) in [
            ("feature_size", &mut options.vq.feature_size),
            ("num_codes", &mut options.vq.num_codes),
        ] {
            if let Some(value) = given.get("vq").and_then(|vq| vq.get(key)) {
                *size = serde_json::from_value(value.clone()).map_err(refuse)?;
            }
        }
        options.method.apply(&mut options.vq);
        let codes = options.vq.num_codes;
        if let Some(name) = given.get("optimizer").and_then(|o| o.get("name")) {
            options.optimizer = Optimizer::named(name.as_str().unwrap_or_default())?;
        }
        refuse_foreign(&given, &options.optimizer)?;
        let mut all = serde_json::to_value(&options).map_err(refuse)?;
        overlay(&mut all, given);
        if options.method == Method::Fsq && all["vq"]["fsq_levels"] == json!(options.vq.fsq_levels)
        {
            all["vq"]["num_codes"] = json!(codes);
        }
        serde_json::from_value(all).map_err(refuse)
    }

    /// These options with some others (JSON) over them; the method has no say.
    ///
    /// # Errors
    /// As [`Self::from_partial`].
    pub fn with(&self, given: Value) -> Result<Self> {
        let refuse = |e: serde_json::Error| Error::Config(format!("options: {e}"));
        options::check_json(&given)?;
        refuse_foreign(&given, &self.optimizer)?;
        let mut all = serde_json::to_value(self).map_err(refuse)?;
        overlay(&mut all, given);
        serde_json::from_value(all).map_err(refuse)
    }

    /// Options as they are stored, all of them.
    ///
    /// # Errors
    /// [`Error::Option`] and [`Error::Conflict`] as [`Self::validate`]; [`Error::Config`] when it is
    /// no JSON of options.
    pub fn from_stored(json: &str) -> Result<Self> {
        let refuse = |e: serde_json::Error| Error::Config(e.to_string());
        options::check_json(&serde_json::from_str(json).map_err(refuse)?)?;
        // From the text, for the line and column of what is wrong.
        let options: Self = serde_json::from_str(json).map_err(refuse)?;
        refuse_foreign(
            &serde_json::from_str(json).map_err(refuse)?,
            &options.optimizer,
        )?;
        options.validate()?;
        Ok(options)
    }

    /// Whether the options are in range and go together.
    ///
    /// # Errors
    /// [`Error::Option`] names the option by its path in JSON, its value and the range;
    /// [`Error::Conflict`] names the options that do not go together; [`Error::Config`] names the
    /// models there are.
    pub fn validate(&self) -> Result<()> {
        if self.model != "simple" {
            return Err(Error::Config(format!(
                "unknown model `{}`; there is: simple",
                self.model
            )));
        }
        self.session().validate()?;
        COMMITMENT_WEIGHT.check(self.commitment_weight)?;
        LOG_EVERY.check(self.log_every)?;
        if let Some(steps) = self.steps {
            STEPS.check(steps)?;
        }
        self.vq.validate().map_err(|e| e.within("vq"))?;
        if self.vq.dim != 1 {
            return Err(Error::Option {
                name: "vq.dim".into(),
                value: self.vq.dim.to_string(),
                want: format!(
                    "1, the axis of the features [B, F, H, W] in the model {}",
                    self.model
                ),
            });
        }
        Ok(())
    }

    /// What the session trains with.
    #[must_use]
    pub fn session(&self) -> SessionOptions {
        SessionOptions {
            batch: self.batch,
            lr: self.lr,
            seed: self.seed,
            optimizer: self.optimizer,
        }
    }

    /// The model that the options describe, for images of `channels` channels.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn build_model(&self, channels: usize) -> Result<Box<dyn Model>> {
        self.validate()?;
        let quantizer = VectorQuant::new(self.vq.clone())?;
        let simple = Simple::new(quantizer, self.output_clamp, self.commitment_weight);
        Ok(Box::new(simple.with_channels(channels)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_options_over_a_method_over_the_defaults() {
        let given = json!({"method": "ste++", "lr": 0.5, "vq": {"num_codes": 64, "sync_nu": 1.0}});
        let options = TrainOptions::from_partial(given).unwrap();
        assert_eq!((options.method, options.lr), (Method::Ste, 0.5));
        assert_eq!((options.vq.num_codes, options.vq.sync_nu), (64, 1.0));
        assert_eq!(options.vq.inplace_optimizer, Some((10.0, 0.9)));
        let fsq = json!({"method": "fsq", "vq": {"num_codes": 256}});
        let fsq = TrainOptions::from_partial(fsq).unwrap();
        assert_eq!(fsq.vq.num_codes, 240);
        fsq.vq.validate().unwrap();
        let sgd = json!({"optimizer": {"name": "sgd", "momentum": 0.5}});
        assert_eq!(
            TrainOptions::from_partial(sgd).unwrap().optimizer,
            Optimizer::Sgd {
                momentum: 0.5,
                weight_decay: 0.0
            }
        );
        let none = json!({"method": "ema", "vq": {"ema_decay": null}});
        assert_eq!(TrainOptions::from_partial(none).unwrap().vq.ema_decay, None);
    }

    #[test]
    fn unknown_options_are_named() {
        for (given, want) in [
            (json!({"vq": {"num_code": 3}}), "num_code"),
            (json!({"learning_rate": 3}), "learning_rate"),
            (json!({"method": "magic"}), "magic"),
            (json!({"vq": {"num_codes": "many"}}), "many"),
            (json!({"optimizer": {"name": "adam"}}), "adam"),
            (
                json!({"optimizer": {"momentum": 0.5}}),
                "optimizer.momentum has no effect: the optimizer adamw has none",
            ),
            (
                json!({"optimizer": {"name": "sgd", "beta1": 0.5}}),
                "optimizer.beta1 has no effect: the optimizer sgd has none",
            ),
        ] {
            let error = TrainOptions::from_partial(given).unwrap_err().to_string();
            assert!(error.contains(want), "{error:?} does not name {want}");
        }
    }
}
