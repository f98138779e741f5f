//! What is given on the command line but would do nothing.

use semivq::train::{Idle, Method, TrainOptions};
use semivq::{Error, Result};
use serde_json::{Value, json};

use super::args::TrainArgs;
use super::given::{Given, flag};
use super::output::note;

/// [`Error::Conflict`] names the options given that are among those without effect, and why.
pub fn refuse(given: &Given, without_effect: &[Idle]) -> Result<()> {
    for idle in without_effect {
        let names = idle.names.iter().filter(|name| given.has(name));
        let names: Vec<String> = names.map(|name| flag(name)).collect();
        let (verb, it) = match names.len() {
            0 => continue,
            1 => ("has", "it"),
            _ => ("have", "them"),
        };
        return Err(Error::Conflict(format!(
            "{} {verb} no effect: {}; leave {it} out",
            names.join(" and "),
            idle.why
        )));
    }
    Ok(())
}

/// [`Error::Config`] when the options given over the method take back all that it sets.
pub fn refuse_method(given: &Given, args: &TrainArgs) -> Result<()> {
    let options = args.options(false)?;
    let method = options.method;
    if !given.has("method") || method == Method::Vq {
        return Ok(());
    }
    let with = json!(options)["vq"].take();
    // The sizes are no part of a method.
    let of = |method: Method| -> Result<Value> {
        let vq = json!({"feature_size": with["feature_size"], "num_codes": with["num_codes"]});
        let of = TrainOptions::from_partial(json!({"method": method, "vq": vq}))?;
        Ok(json!(of)["vq"].take())
    };
    let (plain, alone) = (of(Method::Vq)?, of(method)?);
    let names = plain.as_object().into_iter().flat_map(|o| o.keys());
    let mut own = names.filter(|name| alone[*name] != plain[*name]);
    // What is given as the method has it anyway is not taken back.
    if own.all(|name| with[name] == plain[name]) {
        // No conflict, in which a method's name could be taken for an option's.
        return Err(Error::Config(format!(
            "--method {} has no effect: the options beside it take back all that it sets; leave it out",
            method.name()
        )));
    }
    Ok(())
}

/// Says what has a part of its effect only.
pub fn say(given: &Given, args: &TrainArgs, options: &TrainOptions) {
    let vq = &json!(options)["vq"];
    if vq["using_statistics"] == true && given.has("affine_lr") {
        note(format_args!(
            "note: with --using-statistics --affine-lr only switches the affine codebook on; its value has no effect"
        ));
    }
    let codes = &vq["num_codes"];
    if let Some(given) = args.given("num_codes")
        && vq["fsq_levels"].is_array()
        && given != codes
    {
        let levels: Vec<String> = (vq["fsq_levels"].as_array().into_iter().flatten())
            .map(Value::to_string)
            .collect();
        note(format_args!(
            "note: {codes} codes instead of {given}: the levels of fsq are [{}]; others with --fsq-levels",
            levels.join(", ")
        ));
    }
}
