//! SimVQ (Zhu et al. 2024): a frozen codebook under a learned linear map.
//!
//! ```text
//! C[k] = W c_k          c `[K, F]` normal with deviation 1/sqrt(F), never trained; W `[F, F]`
//! ```
//!
//! A gradient of one code moves W and with it all codes, so that none is left behind. A code that is put on a
//! row is the solution of `W c_k = row`.

use crate::error::Result;
use crate::gpu::{GRID, Init, Recorder, Var, kernels, uniform_struct};
use crate::ops::linear::linear_without_bias;

/// Most features of codes that are put on rows: the map is inverted by one workgroup.
pub(crate) const MOST: usize = 128;

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        codes: u32,
        features: u32,
    }
}

kernels! {
    "simvq", [GRID];
    INVERT = "invert", 256, Params::FIELDS, [Read 1, Read 2, Write 3];
    UNMAP = "unmap", 64, Params::FIELDS, [Read 4, Read 5, Read 6, Write 7];
}

/// How the frozen codebook is drawn.
#[must_use]
pub fn init(features: usize) -> Init {
    Init::Normal(1.0 / (features as f32).sqrt())
}

/// Records the map of the `frozen` codebook `[K, F]`; returns the mapped one and the map `[F, F]`.
///
/// # Errors
/// Those of declaring the parameter.
pub fn transform(rec: &mut Recorder<'_>, frozen: Var) -> Result<(Var, Var)> {
    let features = rec.shape(frozen)[1];
    let map = rec.scope("codebook_transform", |rec| {
        rec.parameter("weight", &[features, features], Init::kaiming(features))
    })?;
    Ok((linear_without_bias(rec, frozen, map)?, map))
}

/// Records, for each code that is due (`slots` `[K]` above 0, `due` their number), what of `frozen` the `map`
/// takes to its row of `rows` `[K, F]`.
pub fn place(rec: &mut Recorder<'_>, (slots, due): (Var, Var), map: Var, rows: Var, frozen: Var) {
    let (codes, features) = (rec.shape(frozen)[0], rec.shape(frozen)[1]);
    let params = Params {
        codes: codes as u32,
        features: features as u32,
    };
    let work = rec.temporary("inverse", &[features, 2 * features]);
    rec.dispatch_per_group(&INVERT, &params, &[map, due, work], 1);
    let tensors = [work, slots, rows, frozen];
    rec.dispatch(&UNMAP, &params, &tensors, codes * features);
}

/// The same on the host, of all `rows` `[K, F]`, in place: Gaussian elimination in f64.
pub fn undo(rows: &mut [f32], map: &[f32], features: usize) {
    let mut work: Vec<Vec<f64>> = map
        .chunks(features)
        .map(|row| row.iter().map(|v| f64::from(*v)).collect())
        .collect();
    for (r, row) in work.iter_mut().enumerate() {
        let sides = rows.iter().skip(r).step_by(features);
        row.extend(sides.map(|v| f64::from(*v)));
    }
    for p in 0..features {
        let size = |r: &usize| work[*r][p].abs();
        let largest = (p..features).max_by(|a, b| size(a).total_cmp(&size(b)));
        work.swap(p, largest.unwrap_or(p));
        let by = work[p][p];
        for value in &mut work[p] {
            *value /= by;
        }
        let pivot = work[p].clone();
        for (r, row) in work.iter_mut().enumerate() {
            let factor = row[p];
            if r != p {
                for (value, pivot) in row.iter_mut().zip(&pivot) {
                    *value -= factor * pivot;
                }
            }
        }
    }
    for (r, row) in work.iter().enumerate() {
        for (k, value) in row[features..].iter().enumerate() {
            rows[k * features + r] = *value as f32;
        }
    }
}
