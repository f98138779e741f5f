//! No kernel asks an invocation for more loop iterations than the slowest known driver grants: every
//! dispatch of what can be recorded, up to the sizes that fit a binding, is counted, and names overrides that its
//! shader has. No GPU is needed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "loops/count.rs"]
mod count;
#[path = "loops/evaluate.rs"]
mod evaluate;
#[path = "loops/priors.rs"]
mod priors;
#[path = "loops/recordings.rs"]
mod recordings;
#[path = "loops/repeat.rs"]
mod repeat;
#[path = "loops/shape.rs"]
mod shape;
#[path = "loops/value.rs"]
mod value;

use std::collections::{BTreeMap, HashMap, HashSet};

use count::{Count, Launch, count};
use naga::Module;
use recordings::Recorded;
use semivq::gpu::{Dispatch, Kernel};
use semivq::kernels;

/// Iterations of all loops of an invocation together before Mesa's llvmpipe ends them in silence:
/// `LP_MAX_TGSI_LOOP_ITERATIONS` in `src/gallium/auxiliary/gallivm/lp_bld_limits.h`.
const MAX_ITERATIONS: u64 = 65_535;

/// The worst values of what only memory tells: shader, variable, and a field of the uniform or a
/// number.
const BOUNDS: &[(&str, &str, Result<&str, u32>)] = &[
    // The number of codes to search stands behind the norms, and is at most K.
    ("search", "used", Ok("codes")),
    ("search_wide", "used", Ok("codes")),
    // The number of doubtful vectors, at most all.
    ("search_doubtful", "used", Ok("codes")),
    ("search_doubtful", "total", Ok("count")),
    // The thread whose codes hold the draw: the first one has as many as any.
    ("replace", "thread", Err(0)),
    // The thread and the block that hold the draw: the first ones have as many blocks and rows as any.
    ("kmeans", "thread", Err(0)),
    ("kmeans", "block", Err(0)),
    // Places of the ring that an epoch takes, at most all 64.
    ("usage", "number", Err(64)),
    // The rows of one code, at most all.
    ("embedding", "count", Ok("rows")),
    // The codes that a position can have, and the position, which is the last one at worst.
    ("cross_entropy", "count", Ok("codes")),
    ("sampler", "count", Ok("size")),
    ("attention", "end", Ok("length")),
];

fn word(dispatch: &Dispatch, name: &str) -> Option<u32> {
    let field = dispatch.kernel().params.iter().find(|f| f.name == name)?;
    let bytes = dispatch.params().get(field.offset..field.offset + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().unwrap()))
}

fn bounds(dispatch: &Dispatch) -> HashMap<&'static str, u32> {
    let own = BOUNDS
        .iter()
        .filter(|(shader, ..)| *shader == dispatch.kernel().shader.name);
    own.map(|(_, variable, bound)| {
        let value = match bound {
            Ok(field) => word(dispatch, field).unwrap(),
            Err(number) => *number,
        };
        (*variable, value)
    })
    .collect()
}

/// The worst of some invocations: of the workgroups at both ends the first and the last thread.
fn worst(module: &Module, dispatch: &Dispatch) -> Count {
    let kernel = dispatch.kernel();
    let launch = Launch {
        module,
        entry: kernel.entry,
        overrides: dispatch.overrides(),
        params: dispatch.params(),
        groups: dispatch.groups(),
        bounds: bounds(dispatch),
        limit: MAX_ITERATIONS,
    };
    let groups = dispatch.groups();
    let places = HashSet::from([[0; 3], groups.map(|g| g - 1)]);
    let mut most = Count {
        iterations: 0,
        whole: true,
    };
    for group in places {
        for local in HashSet::from([0, kernel.invocations() - 1]) {
            most = most.max(count(&launch, group, local));
        }
    }
    most
}

/// What decides a count: kernel, constants, uniform, workgroups.
type Key = (String, Vec<u64>, Vec<u8>, [u32; 3]);

/// Each kernel's worst dispatch, over all recordings.
#[derive(Default)]
struct Table {
    modules: HashMap<&'static str, Module>,
    seen: HashSet<Key>,
    worst: BTreeMap<String, (Count, String)>,
    /// Kernel and count of what is beyond the limit, and the first dispatch that has it.
    offenders: BTreeMap<(String, u64), String>,
}

impl Table {
    fn add(&mut self, recorded: &Recorded) {
        for dispatch in &recorded.dispatches {
            let kernel = dispatch.kernel();
            let overrides = dispatch.overrides().iter().map(|(_, v)| v.to_bits());
            let key = (
                kernel.label(),
                overrides.collect(),
                dispatch.params().to_vec(),
                dispatch.groups(),
            );
            if !self.seen.insert(key) {
                continue;
            }
            let module = self
                .modules
                .entry(kernel.shader.name)
                .or_insert_with(|| naga::front::wgsl::parse_str(&kernel.shader.text()).unwrap());
            for (name, _) in dispatch.overrides() {
                let mut own = module.overrides.iter();
                let found = own.any(|(_, o)| o.name.as_deref() == Some(*name));
                assert!(found, "{} has no override {name}", kernel.shader.name);
            }
            let count = worst(module, dispatch);
            let sizes: Vec<String> = kernel
                .params
                .iter()
                .filter(|f| f.ty == "u32")
                .map(|f| format!("{} {}", f.name, word(dispatch, f.name).unwrap()))
                .collect();
            let at = format!(
                "{} ({}; groups {:?}; {})",
                recorded.name,
                sizes.join(", "),
                dispatch.groups(),
                dispatch.label()
            );
            if count.iterations > MAX_ITERATIONS || !count.whole {
                let about = if count.whole { "" } else { "about " };
                let key = (kernel.label(), count.iterations);
                let line = || format!("{}: {about}{}: {at}", key.0, key.1);
                self.offenders.entry(key.clone()).or_insert_with(line);
            }
            let entry = self.worst.entry(kernel.label());
            let entry = entry.or_insert((count, at.clone()));
            if count > entry.0 {
                *entry = (count, at);
            }
        }
    }
}

#[test]
fn no_dispatch_iterates_more_than_llvmpipe_allows() {
    let mut table = Table::default();
    let mut skipped = 0;
    for recorded in recordings::all() {
        match recorded {
            Some(recorded) => table.add(&recorded),
            None => skipped += 1,
        }
    }
    println!("{skipped} recordings are refused, or hold a tensor that no binding takes");
    for (kernel, (count, at)) in &table.worst {
        let about = if count.whole { "" } else { "about " };
        println!("{kernel:<40} {about}{:>8}  {at}", count.iterations);
    }
    // The bench's own two count a constant, and copy.
    let missing: Vec<String> = kernels::all()
        .into_iter()
        .filter(|k| k.shader.name != "bench")
        .map(Kernel::label)
        .filter(|label| !table.worst.contains_key(label))
        .collect();
    assert!(missing.is_empty(), "never recorded: {missing:?}");
    assert!(
        table.offenders.is_empty(),
        "more than {MAX_ITERATIONS} iterations:\n{}",
        table.offenders.into_values().collect::<Vec<_>>().join("\n")
    );
}

/// A kernel with loops of every kind, and what they come to by hand.
const TEXT: &str = "
struct Params { a: u32, b: u32, c: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> memory: array<u32>;
override BLOCK: u32 = 4u;

fn inner(n: u32, at: ptr<function, u32>) {
    for (var i = 0u; i < n; i += 3u) { *at += memory[i]; }
}

@compute @workgroup_size(64) fn counting(@builtin(local_invocation_index) local: u32) {
    for (var i = local; i < params.a; i += 64u) { memory[i] = 0u; }
}
@compute @workgroup_size(64) fn nested() {
    var sum = 0u;
    for (var k = 0u; k < params.a; k += BLOCK) {
        for (var f = 0u; f <= params.b; f++) { sum += memory[k + f]; }
        inner(params.b, &sum);
    }
    memory[0] = sum;
}
@compute @workgroup_size(64) fn triangle() {
    for (var i = 0u; i < params.a; i++) {
        for (var j = 0u; j < i; j++) { memory[j] = i; }
    }
}
@compute @workgroup_size(64) fn halves() {
    for (var half = 128u; half > 0u; half /= 2u) { memory[half] = half; }
}
@compute @workgroup_size(64) fn either() {
    if (memory[0] > 3u) {
        for (var i = 0u; i < params.a; i++) { memory[i] = i; }
    } else {
        for (var i = 0u; i < params.b; i++) { memory[i] = 2u * i; }
    }
}
@compute @workgroup_size(64) fn until_found() {
    var i = 0u;
    while (i < params.a && memory[i] > 0u) { i += 1u; }
    memory[0] = i;
}
@compute @workgroup_size(64) fn early(@builtin(workgroup_id) group: vec3<u32>) {
    if (group.x * 64u >= params.a) { return; }
    for (var i = 0; i < i32(f32(params.b) * params.c); i++) { memory[i] = 1u; }
}
@compute @workgroup_size(64) fn told(@builtin(workgroup_id) group: vec3<u32>) {
    let number = memory[7];
    for (var i = 0u; i < min(number, 1000u); i++) { memory[i] = 1u; }
}
@compute @workgroup_size(64) fn endless() {
    loop { if (memory[0] == 0u) { break; } }
}
// As the search of K 8192 codes of F 256 features was written: 32 codes and 32 features at once.
@compute @workgroup_size(64) fn search(@builtin(local_invocation_index) local: u32) {
    for (var k = 0u; k < 8192u; k += 32u) {
        for (var first = 0u; first < 256u; first += 32u) {
            for (var i = local; i < 256u; i += 64u) { memory[i] = k; }
            for (var f = 0u; f < 32u; f++) { memory[f] = first; }
        }
    }
}
";

#[test]
fn loops_are_counted_as_by_hand() {
    let module = naga::front::wgsl::parse_str(TEXT).unwrap();
    let of = |entry: &str, overrides: &[(&'static str, f64)], group: u32, a: u32, b: u32| {
        let params = [a.to_le_bytes(), b.to_le_bytes(), 1.5_f32.to_le_bytes()].concat();
        let launch = Launch {
            module: &module,
            entry,
            overrides,
            params: &params,
            groups: [4, 1, 1],
            bounds: HashMap::from([("number", 70)]),
            limit: MAX_ITERATIONS,
        };
        let count = count(&launch, [group, 0, 0], 0);
        (count.iterations, count.whole)
    };
    let whole = |n| (n, true);
    // With the pass that finds the end: 0, 64, .., 960 and out.
    assert_eq!(of("counting", &[], 0, 1000, 0), whole(16 + 1));
    assert_eq!(of("counting", &[], 0, 0, 0), whole(1));
    // Blocks of 4: 25 passes, each 11 + 1 and 4 + 1 inside.
    assert_eq!(of("nested", &[], 0, 100, 10), whole(25 * (1 + 12 + 5) + 1));
    let blocks = [("BLOCK", 20.0)];
    assert_eq!(of("nested", &blocks, 0, 100, 10), whole(5 * 18 + 1));
    // sum over i < 20 of 1 + (i + 1), and out.
    assert_eq!(of("triangle", &[], 0, 20, 0), whole(20 + 210 + 1));
    assert_eq!(of("halves", &[], 0, 0, 0), whole(8 + 1));
    // Lanes that disagree take both sides.
    assert_eq!(of("either", &[], 0, 30, 50), whole(31 + 51));
    assert_eq!(of("until_found", &[], 0, 30, 0), whole(30 + 1));
    assert_eq!(of("early", &[], 0, 100, 10), whole(15 + 1));
    assert_eq!(of("early", &[], 2, 100, 10), whole(0));
    assert_eq!(of("told", &[], 0, 0, 0), whole(70 + 1));
    assert!(!of("endless", &[], 0, 0, 0).1);
    // Beyond the limit an even loop is exact still, an uneven one an estimate.
    assert_eq!(of("counting", &[], 0, 64_000_000, 0), whole(1_000_001));
    let (uneven, exact) = of("triangle", &[], 0, 600, 0);
    assert!(uneven > MAX_ITERATIONS && !exact, "{uneven}");
    // 8192 / 32 blocks of 1 + 9 + 8 (5 + 33) = 314 passes; llvmpipe, which ends them after 65,535, was
    // seen to finish 208 of them and no more: 208 * 314 = 65,312.
    assert_eq!(of("search", &[], 0, 0, 0), whole(256 * 314 + 1));
}
