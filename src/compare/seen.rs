//! What the charts of an experiment know of a run besides its metrics: the scale of its codebook, its codes and
//! vectors on a plane, and some test images as it reconstructs them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::Images;
use crate::error::{Error, Result};
use crate::run::{io_error, pictures, write_json};
use crate::train::{Projection, Session};

/// The picture in a run's folder: test images above, its reconstructions below, pixel by pixel.
pub const SAMPLES: &str = "samples.png";
/// What [`Seen`] is kept in.
const FILE: &str = "codebook.json";
/// Images in [`SAMPLES`].
const SHOWN: usize = 12;
/// Vectors and codes on a map at most; more would only blacken it.
const VECTORS: usize = 400;
const CODES: usize = 1024;

/// Vectors and codes on the plane of the vectors' two principal components.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// x and y of vectors of the last batch.
    pub vectors: Vec<[f32; 2]>,
    /// x and y of codes, and whether the last batch used them.
    pub codes: Vec<([f32; 2], bool)>,
}

/// The quantiser at the last step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The scale of the codebook by feature (the mean over groups of codes), alpha in Approach 1; empty without one.
    pub alpha: Vec<f32>,
    /// Its codes and vectors.
    pub map: Map,
}

/// At most `count` of `all`, evenly.
fn some<T: Copy>(all: &[T], count: usize) -> Vec<T> {
    let every = all.len().div_ceil(count).max(1);
    all.iter().step_by(every).copied().collect()
}

impl Seen {
    /// What `session`'s last step left; `None` without a quantiser.
    ///
    /// # Errors
    /// As [`Session::inspect`].
    pub async fn of(session: &Session) -> Result<Option<Self>> {
        let Some(inspection) = session.inspect(0).await? else {
            return Ok(None);
        };
        let features = inspection.features.max(1);
        let [vectors, codes] =
            Projection::default().project(features, &inspection.vectors, &inspection.codes);
        let points = |flat: &[f32]| -> Vec<[f32; 2]> {
            flat.chunks_exact(2).map(|p| [p[0], p[1]]).collect()
        };
        let (vectors, places) = (points(&vectors), points(&codes));
        let mut used = std::collections::BTreeSet::new();
        let mut codes: Vec<([f32; 2], bool)> = Vec::new();
        if inspection.codes.len() == inspection.vectors.len()
            && inspection.q.len() == places.len()
            && session.code_count(0) != Some(places.len())
        {
            // Without a codebook: the values that the vectors were rounded to, each once.
            for (q, place) in inspection.q.iter().zip(&places) {
                if used.insert(*q) {
                    codes.push((*place, true));
                }
            }
        } else {
            used.extend(inspection.q.iter().copied());
            let all = places.iter().enumerate();
            codes.extend(all.map(|(k, place)| (*place, used.contains(&(k as u32)))));
        }
        let groups = (inspection.scale.len() / features).max(1);
        let mean = |row: &[f32]| row.iter().sum::<f32>() / row.len() as f32;
        Ok(Some(Self {
            alpha: inspection.scale.chunks_exact(groups).map(mean).collect(),
            map: Map {
                vectors: some(&vectors, VECTORS),
                codes: some(&codes, CODES),
            },
        }))
    }

    /// Writes it into the folder of a run.
    ///
    /// # Errors
    /// As [`write_json`].
    pub fn write(&self, dir: &Path) -> Result<()> {
        write_json(&dir.join(FILE), self)
    }

    /// That of the run in `dir`, if it is there.
    ///
    /// # Errors
    /// [`Error::File`] when it is damaged.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| Error::file(&path, format!("{e}; remove it"))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error(&path, &e)),
        }
    }
}

/// Writes [`SAMPLES`] of `session` into `dir`.
///
/// # Errors
/// As [`Session::reconstruct`] and [`crate::run::write_file`].
pub async fn samples(dir: &Path, session: &Session) -> Result<()> {
    let test = &session.data().test;
    let count = SHOWN.min(test.len());
    let [channels, height, width] = test.shape();
    let originals = Images {
        shape: test.shape(),
        pixels: test.read_range(0..count)?,
        labels: None,
    };
    let results = session.reconstruct(&originals).await?;
    let mut pixels = vec![0; channels * 2 * height * count * width];
    for (row, images) in [&originals, &results].into_iter().enumerate() {
        for i in 0..count {
            for (p, value) in images.range(i, i + 1).iter().enumerate() {
                let (c, y, x) = (p / (height * width), p / width % height, p % width);
                let line = c * 2 * height + row * height + y;
                pixels[line * count * width + i * width + x] = *value;
            }
        }
    }
    let sheet = Images {
        shape: [channels, 2 * height, count * width],
        pixels,
        labels: None,
    };
    pictures::write_image(&dir.join(SAMPLES), &sheet, 0)
}
