//! What the cases dispatch.

use std::collections::{BTreeMap, BTreeSet};

use semivq::gpu::Dispatch;
use semivq::kernels;

use super::support::candidate_sets;
use super::support::harness::Failed;
use super::{case, cases};

/// Kernels of operations that have no gradient of their own.
const WITHOUT_GRADIENT: [&str; 3] = [
    "gather::gather",
    "interpolate::interpolate",
    "ssim::forward",
];

/// What all cases dispatch under each set of candidates.
fn dispatches() -> Result<Vec<Dispatch>, Failed> {
    let mut all = Vec::new();
    for case in cases::all() {
        for set in candidate_sets("") {
            all.extend(case::dispatches(&case, &set)?);
        }
    }
    Ok(all)
}

/// The value of a field of a dispatch's uniform.
fn field(dispatch: &Dispatch, name: &str) -> Option<u32> {
    let field = dispatch.kernel().params.iter().find(|f| f.name == name)?;
    let bytes = dispatch.params().get(field.offset..field.offset + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// No kernel of a room of `src/ops` is left out: a new operation wants a case.
pub fn all_are_dispatched() -> Result<(), Failed> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let mut shaders = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let text = std::fs::read_to_string(entry?.path())?;
        for room in text.split("kernels! {").skip(1) {
            let name = room.split('"').nth(1).ok_or("kernels without a shader")?;
            shaders.insert(name.to_owned());
        }
    }
    let all = kernels::all();
    let of_operations = all.iter().filter(|k| shaders.contains(k.shader.name));
    let mut left: BTreeSet<String> = of_operations.map(|k| k.label()).collect();
    if left.len() < 30 {
        return Err(format!("only {} kernels of operations were found", left.len()).into());
    }
    for dispatch in dispatches()? {
        left.remove(&dispatch.kernel().label());
    }
    let exempt = WITHOUT_GRADIENT.map(String::from).into();
    if left != exempt {
        return Err(format!("in no case: {left:?}, without a gradient: {exempt:?}").into());
    }
    Ok(())
}

/// Every kernel of the weight gradient has a case in which it splits the positions into several chunks.
pub fn weight_gradients_are_split() -> Result<(), Failed> {
    let mut most: BTreeMap<String, u32> = BTreeMap::new();
    for dispatch in dispatches()? {
        if let Some(chunks) = field(&dispatch, "chunks") {
            let seen = most.entry(dispatch.kernel().label()).or_default();
            *seen = chunks.max(*seen);
        }
    }
    let candidates = kernels::candidates().concat().into_iter();
    let weights = candidates.filter(|c| c.name.starts_with("conv2d_weight"));
    let whole: Vec<&str> = weights
        .map(|c| c.name)
        .filter(|name| most.get(*name).is_none_or(|chunks| *chunks < 2))
        .collect();
    if !whole.is_empty() {
        return Err(format!("never split: {whole:?}").into());
    }
    Ok(())
}
