//! Options from those that are given, as JSON: over a method, over a model's defaults, over those of a run.

use serde_json::{Value, json};

use super::effect::Idle;
use super::methods::Method;
use super::options::TrainOptions;
use super::stored::Stored;
use crate::error::{Error, Result};
use crate::models::ModelOptions;
use crate::optim::Optimizer;
use crate::options;

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

/// Whether `given` (JSON) says how far a run goes.
fn has_goal(given: &Value) -> bool {
    !given["steps"].is_null() || !given["epochs"].is_null()
}

/// [`Error::Conflict`] when `given` (JSON) says it twice.
fn refuse_two_goals(given: &Value) -> Result<()> {
    if given["steps"].is_null() || given["epochs"].is_null() {
        return Ok(());
    }
    Err(Error::Conflict(
        "steps and epochs exclude each other: each says how far the run goes; leave one out".into(),
    ))
}

/// The levels that are given without a number of codes, which they make.
fn levels_alone(given: &Value) -> Option<Vec<usize>> {
    let vq = given.get("vq")?;
    let levels = serde_json::from_value(vq.get("fsq_levels")?.clone()).ok()?;
    vq.get("num_codes").is_none().then_some(levels)
}

/// The width of a residual model and the features of its vectors are one number under two names: what is
/// `given` of the two is put where the other is.
fn one_width(given: &mut Value, model: &ModelOptions) {
    let ModelOptions::ResNet(_) = model else {
        return;
    };
    let set = |path: &str| given.pointer(path).filter(|v| !v.is_null()).cloned();
    match (set("/width"), set("/vq/feature_size")) {
        (Some(width), None) => overlay(given, json!({"vq": {"feature_size": width}})),
        (None, Some(features)) => overlay(given, json!({"width": features})),
        (None, None) | (Some(_), Some(_)) => {}
    }
}

impl Stored {
    /// These options with some others (JSON) over them; the method has no say.
    fn with(&self, mut given: Value) -> Result<Self> {
        let refuse = |e: serde_json::Error| Error::Config(format!("options: {e}"));
        one_width(&mut given, &ModelOptions::named(&self.model)?);
        options::check_json(&given)?;
        let given = renamed(given)?;
        refuse_foreign(&given, &self.optimizer)?;
        refuse_two_goals(&given)?;
        let mut all = serde_json::to_value(self).map_err(refuse)?;
        // Another goal takes the place of the one there was, in whatever it was counted.
        if let (Some(all), true) = (all.as_object_mut(), has_goal(&given)) {
            all.remove("steps");
            all.remove("epochs");
        }
        overlay(&mut all, given);
        serde_json::from_value(all).map_err(refuse)
    }

    /// Some options (JSON) completed: first the method, with the F and K that are given, then whatever
    /// else is given over it, then the defaults.
    fn complete(given: Value) -> Result<Self> {
        let refuse = |e: serde_json::Error| Error::Config(format!("options: {e}"));
        options::check_json(&given)?;
        let mut given = renamed(given)?;
        let model = match given.get("model") {
            None => ModelOptions::default(),
            Some(Value::String(name)) => ModelOptions::named(name)?,
            Some(other) => return Err(Error::Config(format!("options: model {other} is no name"))),
        };
        one_width(&mut given, &model);
        let mut stored = Self::from(&TrainOptions::of(model));
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
        if let Some((loss, weight)) = stored.method.bound() {
            stored.loss = Some(loss);
            stored.commitment_weight = weight;
        }
        let codes = stored.vq.num_codes;
        if let Some(name) = given.get("optimizer").and_then(|o| o.get("name")) {
            let name = name.as_str().unwrap_or_default();
            // The model's own constants stay where it is the model's own optimiser.
            if name != stored.optimizer.name() {
                stored.optimizer = Optimizer::named(name)?;
            }
        }
        refuse_foreign(&given, &stored.optimizer)?;
        refuse_two_goals(&given)?;
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
    use crate::quant::{QuantizerConfig, VectorQuantConfig};

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
