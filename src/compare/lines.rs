//! CSV files with a line or more a run: method, the varied values, seed, and further columns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::table::Group;
use crate::error::{Error, Result};
use crate::run::{io_error, write_file};

/// A CSV file about to be written.
pub(super) struct Writer {
    path: PathBuf,
    csv: csv::Writer<Vec<u8>>,
}

impl Writer {
    pub fn new(dir: &Path, name: &str, varied: &[String], columns: &[&str]) -> Result<Self> {
        let mut writer = Self {
            path: dir.join(name),
            csv: csv::Writer::from_writer(Vec::new()),
        };
        let first = ["method"]
            .into_iter()
            .chain(varied.iter().map(String::as_str));
        writer.line(first.chain(["seed"]).chain(columns.iter().copied()))?;
        Ok(writer)
    }

    fn line<'a>(&mut self, fields: impl Iterator<Item = &'a str>) -> Result<()> {
        let refuse = |e: csv::Error| Error::file(&self.path, e.to_string());
        self.csv.write_record(fields).map_err(refuse)
    }

    /// A line of a run.
    pub fn add(&mut self, group: &Group, seed: u64, fields: &[String]) -> Result<()> {
        let seed = seed.to_string();
        let first = [&group.method].into_iter().chain(&group.values);
        self.line(first.chain([&seed]).chain(fields).map(String::as_str))
    }

    pub fn finish(self) -> Result<()> {
        let refuse = |e: &dyn std::fmt::Display| Error::file(&self.path, e.to_string());
        let bytes = self.csv.into_inner().map_err(|e| refuse(&e))?;
        write_file(&self.path, &bytes)
    }
}

/// A CSV file that was read: its varied options, the names of its further columns, and its lines.
pub(super) struct Reader {
    path: PathBuf,
    pub varied: Vec<String>,
    columns: Vec<String>,
    lines: Vec<csv::StringRecord>,
}

impl Reader {
    pub fn new(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(name);
        let bytes = std::fs::read(&path).map_err(|e| io_error(&path, &e))?;
        let refuse = |e: csv::Error| Error::file(&path, e.to_string());
        let mut csv = csv::Reader::from_reader(&bytes[..]);
        let header = csv.headers().map_err(refuse)?.clone();
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        let seed = names.iter().position(|n| n == "seed");
        let (Some("method"), Some(seed)) = (names.first().map(String::as_str), seed) else {
            let message = "has no columns `method` and `seed`; is it of semivq compare?";
            return Err(Error::file(&path, message));
        };
        Ok(Self {
            lines: csv.records().collect::<Result<_, _>>().map_err(refuse)?,
            varied: names[1..seed].to_vec(),
            columns: names[seed + 1..].to_vec(),
            path,
        })
    }

    /// Each line: its group, seed, and the further fields by name; empty ones are left out.
    pub fn each(
        &self,
        mut line: impl FnMut(Group, u64, BTreeMap<&str, &str>) -> Result<(), String>,
    ) -> Result<()> {
        let seed_at = self.varied.len() + 1;
        for (i, record) in self.lines.iter().enumerate() {
            let refuse = |what: &str| Error::file(&self.path, format!("line {}: {what}", i + 2));
            let group = Group {
                method: record[0].to_owned(),
                values: (1..seed_at).map(|at| record[at].to_owned()).collect(),
            };
            let seed = record[seed_at].parse();
            let seed = seed.map_err(|_| refuse("the seed is no number"))?;
            let fields = record.iter().skip(seed_at + 1).zip(&self.columns);
            let fields = fields.filter(|(field, _)| !field.is_empty());
            let fields = fields.map(|(field, name)| (name.as_str(), field)).collect();
            line(group, seed, fields).map_err(|e| refuse(&e))?;
        }
        Ok(())
    }
}

/// The number called `name` in `fields`.
pub(super) fn number<T: std::str::FromStr>(
    fields: &BTreeMap<&str, &str>,
    name: &str,
) -> Result<T, String> {
    let text = fields.get(name).ok_or(format!("no {name}"))?;
    text.parse()
        .map_err(|_| format!("{name} is no number: {text}"))
}
