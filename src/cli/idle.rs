//! What is given on the command line but would do nothing.

use semivq::train::{Method, TrainOptions};
use semivq::{Error, Result};

use super::args::TrainArgs;
use super::given::{Given, flag};
use super::output::note;

/// [`Error::Conflict`] names the options given that have no effect in `options`, and why.
pub fn refuse(given: &Given, options: &TrainOptions) -> Result<()> {
    for idle in options.without_effect() {
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

/// [`Error::Conflict`] when the options given over the method take back all that it sets.
pub fn refuse_method(given: &Given, args: &TrainArgs) -> Result<()> {
    if !given.has("method") || args.method == Method::Vq {
        return Ok(());
    }
    let plain = args.options_of(Method::Vq, false).0;
    let with = args.options_of(args.method, false).0;
    if plain.vq == with.vq {
        return Err(Error::Conflict(format!(
            "--method {} has no effect: the options beside it take back all that it sets; leave it out",
            args.method.name()
        )));
    }
    Ok(())
}

/// Says what has a part of its effect only.
pub fn say(given: &Given, codes: Option<usize>, options: &TrainOptions) {
    let vq = &options.vq;
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
