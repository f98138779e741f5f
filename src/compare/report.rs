//! `report.html`: everything in one page that needs nothing else, neither files nor a network.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::curves::{Band, curves};
use super::results::Results;
use super::table::{
    Group, better, cell, figures, groups, heading, of_quantizers, seeds, summaries,
};
use crate::error::Result;
use crate::run::{io_error, write_file};

/// The page's name.
pub const REPORT: &str = "report.html";
const PAGE: &str = include_str!("report/report.html");
const STYLE: &str = include_str!("report/report.css");
const SCRIPT: &str = include_str!("report/report.js");

/// Metrics in words.
fn title(metric: &str) -> String {
    match metric {
        "rec_loss" => "reconstruction loss".into(),
        "cmt_loss" => "commitment loss".into(),
        "perplexity" => "perplexity of the batch".into(),
        "active_ratio" => "active codes of the batch, %".into(),
        "alpha_mean" => "mean of alpha".into(),
        "posterior_entropy" => "mean entropy of the posteriors, nats".into(),
        "variance_mean" => "mean variance (vmf: 1 / concentration)".into(),
        "posterior_perplexity" => "perplexity of the mean posterior".into(),
        other => other.replace('_', " "),
    }
}

/// Rounded to six digits, which is more than a chart shows.
fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

fn data(results: &Results, found: &[(Group, PathBuf)], experiment: Option<&str>) -> Result<Value> {
    let all = groups(&results.rows);
    let at = |group: &Group| all.iter().position(|g| g == group);
    let names = of_quantizers(figures(&results.rows));
    let columns: Vec<Value> = (names.iter())
        .map(|name| {
            let less = better(name).map(|b| b == std::cmp::Ordering::Less);
            json!({"name": name, "title": heading(name), "less": less})
        })
        .collect();
    let table: Vec<Value> = (summaries(&results.rows).iter())
        .map(|s| {
            let figure = |name: &String| {
                s.figures
                    .get(name)
                    .map(|f| json!({"mean": f.0, "deviation": f.1, "text": cell(name, *f)}))
            };
            let figures: Vec<_> = names.iter().map(figure).collect();
            json!({
                "method": s.group.method, "values": s.group.values, "label": s.group.label(),
                "seeds": seeds(s), "figures": figures,
            })
        })
        .collect();
    let metrics: Vec<Value> = (of_quantizers(results.metrics()).iter())
        .map(|metric| {
            let curves: Vec<Value> = (curves(&results.traces, &all, metric).iter())
                .map(|c| {
                    let of = |value: fn(&Band) -> f64| -> Vec<f64> {
                        c.bands.iter().map(|b| short(value(b))).collect()
                    };
                    let steps: Vec<u32> = c.bands.iter().map(|b| b.step).collect();
                    json!({
                        "group": at(&c.group), "x": steps, "mean": of(|b| b.mean),
                        "low": of(|b| b.low), "high": of(|b| b.high),
                    })
                })
                .collect();
            json!({"name": metric, "title": title(metric), "curves": curves})
        })
        .collect();
    let alpha: Vec<Value> = (results.alpha.iter())
        .map(|(group, seed, values)| json!({"group": at(group), "seed": seed, "values": values}))
        .collect();
    let maps: Vec<Value> = (results.maps.iter())
        .map(|(group, seed, map)| {
            json!({"group": at(group), "seed": seed, "vectors": map.vectors, "codes": map.codes})
        })
        .collect();
    let mut pictures = Vec::new();
    for (group, path) in found {
        let bytes = std::fs::read(path).map_err(|e| io_error(path, &e))?;
        let source = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes));
        pictures.push(json!({"group": at(group), "source": source}));
    }
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"), "varied": results.varied, "columns": columns,
        "table": table, "metrics": metrics, "alpha": alpha, "maps": maps, "pictures": pictures,
        "experiment": experiment,
    }))
}

/// Writes the report of `results` into `dir`, with the pictures of reconstructions that were `found` and the
/// `experiment` as its file has it.
///
/// # Errors
/// As [`write_file`]; [`crate::Error::File`] when a picture cannot be read.
pub(super) fn write(
    dir: &Path,
    results: &Results,
    found: &[(Group, PathBuf)],
    experiment: Option<&str>,
) -> Result<()> {
    // No text can end the script that holds it.
    let data = data(results, found, experiment)?
        .to_string()
        .replace('<', "\\u003c");
    let page = PAGE
        .replace("/* style */", STYLE)
        .replace("/* script */", SCRIPT)
        .replace("/* data */", &data);
    write_file(&dir.join(REPORT), page.as_bytes())
}
