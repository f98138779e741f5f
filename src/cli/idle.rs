//! What is given on the command line but would do nothing.

use semivq::quant::VectorQuantConfig;
use semivq::train::{Idle, Method, TrainOptions};
use semivq::{Error, Result};
use serde_json::json;

use super::args::TrainArgs;
use super::given::{Given, flag};
use super::output::note;

/// [`Error::Conflict`] names the options given that are among those `without_effect`, and why.
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
    if !given.has("method") || args.method == Method::Vq {
        return Ok(());
    }
    let with = args.options_of(args.method, false)?.0.quantizer;
    let with = VectorQuantConfig::from(&with);
    let plain = VectorQuantConfig {
        feature_size: with.feature_size,
        num_codes: with.num_codes,
        ..VectorQuantConfig::default()
    };
    let mut alone = plain.clone();
    args.method.apply(&mut alone);
    let [with, plain, alone] = [with, plain, alone].map(|vq| json!(vq));
    let names = plain.as_object().into_iter().flat_map(|o| o.keys());
    let mut own = names.filter(|name| alone[*name] != plain[*name]);
    // What is given as the method has it anyway is not taken back.
    if own.all(|name| with[name] == plain[name]) {
        // No conflict, in which a method's name could be taken for an option's.
        return Err(Error::Config(format!(
            "--method {} has no effect: the options beside it take back all that it sets; leave it out",
            args.method.name()
        )));
    }
    Ok(())
}

/// Says what has a part of its effect only.
pub fn say(given: &Given, codes: Option<usize>, options: &TrainOptions) {
    let vq = VectorQuantConfig::from(&options.quantizer);
    if vq.using_statistics && given.has("affine_lr") {
        note(format_args!(
            "note: with --using-statistics --affine-lr only switches the affine codebook on; its value has no effect"
        ));
    }
    if let (Some(codes), Some(levels)) = (codes, &vq.fsq_levels)
        && codes != vq.num_codes
    {
        note(format_args!(
            "note: {} codes instead of {codes}: the levels of fsq are {levels:?}; others with --fsq-levels",
            vq.num_codes
        ));
    }
}
