//! Numbers that stand in a shader and in Rust.

use std::collections::BTreeMap;

use naga::{Expression, Literal, Module};
use semivq::kernels;

use super::shaders;

/// Shader, `const`, and the entry point whose workgroup size it is.
const WORKGROUP_SIZES: [(&str, &str, &str); 3] = [
    ("search", "THREADS", "search"),
    ("search_wide", "THREADS", "search"),
    ("search_doubtful", "THREADS", "exact"),
];

/// Constants that are a shader's own: no Rust code counts on them.
const OF_THE_SHADER: [&str; 7] = [
    "COLUMNS",
    "FAR",
    "INV_SQRT_TAU",
    "NOISE",
    "SQRT_HALF",
    "TAPS",
    "WINDOW",
];

/// Name and value of each constant at the top of a module.
fn constants(module: &Module) -> Vec<(String, f64)> {
    let named = module.constants.iter().filter_map(|(_, c)| {
        let name = c.name.clone()?;
        let value = match module.global_expressions[c.init] {
            Expression::Literal(Literal::U32(v)) => f64::from(v),
            Expression::Literal(Literal::F32(v)) => f64::from(v),
            ref other => panic!("{name} is {other:?}"),
        };
        Some((name, value))
    });
    named.collect()
}

/// Every `const` of a shader is the Rust side's number of that meaning, a workgroup size, or the shader's own.
#[test]
fn constants_agree() {
    let mut told: BTreeMap<(&str, String), f64> = BTreeMap::new();
    for shared in kernels::shared_constants() {
        told.insert((shared.shader, shared.name.to_owned()), shared.value);
    }
    for (shader, name, entry) in WORKGROUP_SIZES {
        let mut all = kernels::all().into_iter();
        let kernel = all.find(|k| k.shader.name == shader && k.entry == entry);
        told.insert(
            (shader, name.to_owned()),
            f64::from(kernel.unwrap().invocations()),
        );
    }
    for c in shaders() {
        for (name, value) in constants(&c.module) {
            let shader = c.shader.name;
            match told.remove(&(shader, name.clone())) {
                Some(own) => assert_eq!(value, own, "{name} of {shader}"),
                None => assert!(
                    OF_THE_SHADER.contains(&name.as_str()),
                    "is {name} of {shader} on the Rust side too? See kernels::shared_constants"
                ),
            }
        }
    }
    assert!(told.is_empty(), "in no shader: {told:?}");
}
