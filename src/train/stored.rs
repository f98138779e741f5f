//! A run's options as files, flags and the page have them: flat JSON. The way to [`TrainOptions`] and back.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::effect::{self, Idle};
use super::every::CheckpointEvery;
use super::methods::Method;
use super::options::TrainOptions;
use crate::error::{Error, Result};
use crate::models::{ModelOptions, OutputClamp, Simple, SimpleOptions};
use crate::optim::Optimizer;
use crate::options;
use crate::quant::{QuantizerConfig, VectorQuantConfig};

/// [`TrainOptions`], flat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    model: String,
    method: Method,
    vq: VectorQuantConfig,
    output_clamp: OutputClamp,
    commitment_weight: f32,
    optimizer: Optimizer,
    lr: f32,
    batch: usize,
    seed: u64,
    data: Option<String>,
    log_every: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint_every: Option<CheckpointEvery>,
}

impl From<&TrainOptions> for Stored {
    fn from(options: &TrainOptions) -> Self {
        let ModelOptions::Simple(simple) = options.model;
        Self {
            model: options.model.name().to_owned(),
            method: options.method,
            vq: VectorQuantConfig::from(&options.quantizer),
            output_clamp: simple.output_clamp,
            commitment_weight: simple.commitment_weight,
            optimizer: options.optimizer,
            lr: options.lr,
            batch: options.batch,
            seed: options.seed,
            data: options.data.clone(),
            log_every: options.log_every,
            steps: options.steps,
            checkpoint_every: options.checkpoint_every,
        }
    }
}

impl TryFrom<Stored> for TrainOptions {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        if stored.model != Simple::NAME {
            return Err(Error::Config(format!(
                "unknown model `{}`; there is: {}",
                stored.model,
                ModelOptions::NAMES.join(", ")
            )));
        }
        let options = Self {
            model: ModelOptions::Simple(SimpleOptions {
                output_clamp: stored.output_clamp,
                commitment_weight: stored.commitment_weight,
            }),
            method: stored.method,
            quantizer: QuantizerConfig::default(),
            optimizer: stored.optimizer,
            lr: stored.lr,
            batch: stored.batch,
            seed: stored.seed,
            data: stored.data,
            log_every: stored.log_every,
            steps: stored.steps,
            checkpoint_every: stored.checkpoint_every,
        };
        options.validate_numbers()?;
        let quantizer = QuantizerConfig::try_from(&stored.vq).map_err(|e| e.within("vq"))?;
        options.validate_axis(stored.vq.dim)?;
        Ok(Self {
            quantizer,
            ..options
        })
    }
}

impl Serialize for TrainOptions {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        Stored::from(self).serialize(to)
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

/// `given` (JSON) with options under the names that they have now: `kmeans_init` was the switch that
/// `codebook_init` took the place of, and is read by it.
fn renamed(mut given: Value) -> Result<Value> {
    let vq = given.get_mut("vq").and_then(Value::as_object_mut);
    let old = vq.and_then(|vq| Some((vq.remove("kmeans_init")?, vq)));
    if let Some((switch, vq)) = old
        && vq.insert("codebook_init".into(), switch).is_some()
    {
        return Err(Error::Conflict(
            "kmeans_init is the earlier name of codebook_init kmeans: give one of them".into(),
        ));
    }
    Ok(given)
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

/// The levels that are given without a number of codes, which they make.
fn levels_alone(given: &Value) -> Option<Vec<usize>> {
    let vq = given.get("vq")?;
    let levels = serde_json::from_value(vq.get("fsq_levels")?.clone()).ok()?;
    vq.get("num_codes").is_none().then_some(levels)
}

impl Stored {
    fn idle(&self) -> Vec<Idle> {
        effect::without_effect(&self.vq, self.commitment_weight, &self.optimizer)
    }

    /// These options with some others (JSON) over them; the method has no say.
    fn with(&self, given: Value) -> Result<Self> {
        let refuse = |e: serde_json::Error| Error::Config(format!("options: {e}"));
        options::check_json(&given)?;
        let given = renamed(given)?;
        refuse_foreign(&given, &self.optimizer)?;
        let mut all = serde_json::to_value(self).map_err(refuse)?;
        overlay(&mut all, given);
        serde_json::from_value(all).map_err(refuse)
    }

    /// Some options (JSON) completed: first the method, with the F and K that are given, then whatever
    /// else is given over it, then the defaults.
    fn complete(given: Value) -> Result<Self> {
        let refuse = |e: serde_json::Error| Error::Config(format!("options: {e}"));
        options::check_json(&given)?;
        let given = renamed(given)?;
        let mut stored = Self::from(&TrainOptions::default());
        if let Some(method) = given.get("method") {
            stored.method = serde_json::from_value(method.clone()).map_err(refuse)?;
        }
        for (key, size) in [
            ("feature_size", &mut stored.vq.feature_size),
            ("num_codes", &mut stored.vq.num_codes),
        ] {
            if let Some(value) = given.get("vq").and_then(|vq| vq.get(key)) {
                *size = serde_json::from_value(value.clone()).map_err(refuse)?;
            }
        }
        stored.method.apply(&mut stored.vq);
        let codes = stored.vq.num_codes;
        if let Some(name) = given.get("optimizer").and_then(|o| o.get("name")) {
            stored.optimizer = Optimizer::named(name.as_str().unwrap_or_default())?;
        }
        refuse_foreign(&given, &stored.optimizer)?;
        if let Some(levels) = levels_alone(&given) {
            // Wrapping only for levels that are refused anyway.
            stored.vq.num_codes = levels.iter().fold(1, |a, l| a.wrapping_mul(*l));
        }
        let mut all = serde_json::to_value(&stored).map_err(refuse)?;
        overlay(&mut all, given);
        if stored.method == Method::Fsq && all["vq"]["fsq_levels"] == json!(stored.vq.fsq_levels) {
            all["vq"]["num_codes"] = json!(codes);
        }
        serde_json::from_value(all).map_err(refuse)
    }
}

impl TrainOptions {
    /// Options from some of them, as JSON: first the method, with the F and K that are given, then
    /// whatever else is given over it, then the defaults.
    ///
    /// # Errors
    /// [`Error::Config`] names an option that does not exist or whose value does not fit;
    /// [`Error::Option`] and [`Error::Conflict`] as [`Self::validate`].
    pub fn from_partial(given: Value) -> Result<Self> {
        Stored::complete(given)?.try_into()
    }

    /// These options with some others (JSON) over them; the method has no say.
    ///
    /// # Errors
    /// As [`Self::from_partial`].
    pub fn with(&self, given: Value) -> Result<Self> {
        Stored::from(self).with(given)?.try_into()
    }

    /// The options that have no effect beside the others, whatever their value, where some are `given` (JSON).
    /// Where an option has none for several reasons, the first one is that to be told.
    ///
    /// # Errors
    /// As [`Self::from_partial`], but for options that do not go together.
    pub fn idle(given: Value) -> Result<Vec<Idle>> {
        Ok(Stored::complete(given)?.idle())
    }

    /// The same of these options with those that are `given` over them.
    ///
    /// # Errors
    /// As [`Self::idle`].
    pub fn idle_with(&self, given: Value) -> Result<Vec<Idle>> {
        Ok(Stored::from(self).with(given)?.idle())
    }

    /// The same of these options alone.
    #[must_use]
    pub fn without_effect(&self) -> Vec<Idle> {
        Stored::from(self).idle()
    }

    /// Options as they are stored, all of them.
    ///
    /// # Errors
    /// [`Error::Option`] and [`Error::Conflict`] as [`Self::validate`]; [`Error::Config`] when it is
    /// no JSON of options.
    pub fn from_stored(json: &str) -> Result<Self> {
        let refuse = |e: serde_json::Error| Error::Config(e.to_string());
        let value: Value = serde_json::from_str(json).map_err(refuse)?;
        options::check_json(&value)?;
        // From the text, for the line and column of what is wrong.
        let stored: Stored = serde_json::from_str(json).map_err(refuse)?;
        refuse_foreign(&value, &stored.optimizer)?;
        stored.try_into()
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
        let vq = VectorQuantConfig::from(&options.quantizer);
        assert_eq!((vq.num_codes, vq.sync_nu), (64, 1.0));
        assert_eq!(vq.inplace_optimizer, Some((10.0, 0.9)));
        let fsq = json!({"method": "fsq", "vq": {"num_codes": 256}});
        let fsq = TrainOptions::from_partial(fsq).unwrap();
        assert_eq!(VectorQuantConfig::from(&fsq.quantizer).num_codes, 240);
        let sgd = json!({"optimizer": {"name": "sgd", "momentum": 0.5}});
        assert_eq!(
            TrainOptions::from_partial(sgd).unwrap().optimizer,
            Optimizer::Sgd {
                momentum: 0.5,
                weight_decay: 0.0
            }
        );
        let none = json!({"method": "ema", "vq": {"ema_decay": null, "kmeans_init": false}});
        let none = TrainOptions::from_partial(none).unwrap();
        assert_eq!(none.quantizer, QuantizerConfig::default());
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
