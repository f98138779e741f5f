// replace: codes that nobody used for a while, or that few use, become something near the vectors.
//
// A code is due when its countdown, or its cluster size, is low; it gets a new row plus noise of 1 % of
// that row's length. What comes to lie there is the effective code (PLACE) or the raw one. `slots` says of each code whether it is due (0: no; i + 1: the i-th due
// one), `due` holds their number. Nothing is read back: with no code due every kernel ends at once.

// Whether scale and bias of the codebook are undone, so that the effective code is what is put there.
override PLACE: bool = false;

struct Params {
    codes: u32,                 // K
    features: u32,              // F
    count: u32,                 // N
    positions: u32,             // z is [B, F, positions], n = b * positions + s
    patience: f32,              // steps unused before a code is replaced
    samples: u32,               // rows that k-means looks at
    stream: u32,                // of the random numbers, this and the next two
    groups: u32,                // of codes with a scale of their own
    below: f32,                 // cluster size below which a code is replaced
    decay: f32,                 // of the cluster sizes; 1 where they are up to date
    fresh: f32,                 // cluster size of a replaced code
}

struct Step {
    step: u32,                  // counts from 1
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> countdown: array<f32>;
@group(0) @binding(3) var<storage, read_write> slots: array<u32>;
@group(0) @binding(4) var<storage, read_write> due: array<u32>;
@group(0) @binding(5) var<storage, read> slots_in: array<u32>;
@group(0) @binding(6) var<storage, read> due_in: array<u32>;
@group(0) @binding(7) var<storage, read> z: array<f32>;
@group(0) @binding(8) var<storage, read_write> codebook: array<f32>;
@group(0) @binding(9) var<storage, read_write> parents: array<u32>;
@group(0) @binding(10) var<storage, read> parents_in: array<u32>;
@group(0) @binding(11) var<storage, read_write> samples: array<f32>;
@group(0) @binding(12) var<storage, read> samples_in: array<f32>;
@group(0) @binding(13) var<storage, read_write> centroids: array<f32>;
@group(0) @binding(14) var<storage, read> centroids_in: array<f32>;
@group(0) @binding(16) var<storage, read_write> sizes: array<f32>;
@group(0) @binding(17) var<storage, read_write> sums: array<f32>;
@group(0) @binding(18) var<storage, read> sums_in: array<f32>;
@group(0) @binding(19) var<storage, read> scale: array<f32>;
@group(0) @binding(20) var<storage, read> bias: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;

const NOISE: f32 = 0.01;
// A scale nearer to 0 counts as this: what it is divided by must not throw a raw code far away.
const LEAST: f32 = 0.01;

var<workgroup> starts: array<f32, 257>;

// Each thread owns consecutive codes: how many a thread.
fn codes_of_thread() -> u32 {
    return (params.codes + 255u) / 256u;
}

// Exclusive sums over the threads; starts[256] is the total.
fn scan(local: u32, value: f32) {
    workgroupBarrier();
    starts[local + 1u] = value;
    workgroupBarrier();
    if (local == 0u) {
        starts[0] = 0.0;
        for (var i = 1u; i <= 256u; i++) { starts[i] += starts[i - 1u]; }
    }
    workgroupBarrier();
}

// The list of due codes in their order; `mine` is how many of its codes a thread has marked.
fn list_due(local: u32, mine: f32) {
    let first = local * codes_of_thread();
    let end = min(first + codes_of_thread(), params.codes);
    scan(local, mine);
    var next = u32(starts[local]);
    for (var k = first; k < end; k++) {
        if (slots[k] > 0u) {
            next += 1u;
            slots[k] = next;
        }
    }
    if (local == 0u) { due[0] = u32(starts[256]); }
}

// One workgroup: countdowns, and the list of due codes.
@compute @workgroup_size(256)
fn tick(@builtin(local_invocation_index) local: u32) {
    let first = local * codes_of_thread();
    let end = min(first + codes_of_thread(), params.codes);
    var mine = 0.0;
    for (var k = first; k < end; k++) {
        var left = countdown[k] - 1.0;
        if (counts[k] > 0u) { left = params.patience; }
        slots[k] = 0u;
        if (left <= 0.0) {
            left = params.patience;
            slots[k] = 1u;
            mine += 1.0;
        }
        countdown[k] = left;
    }
    list_due(local, mine);
}

// One workgroup: cluster sizes, and the list of codes with a small one.
@compute @workgroup_size(256)
fn mark_small(@builtin(local_invocation_index) local: u32) {
    let first = local * codes_of_thread();
    let end = min(first + codes_of_thread(), params.codes);
    var mine = 0.0;
    for (var k = first; k < end; k++) {
        var size = sizes[k];
        if (params.decay < 1.0) { size = params.decay * size + (1.0 - params.decay) * f32(counts[k]); }
        slots[k] = 0u;
        if (size < params.below) {
            size = params.fresh;
            slots[k] = 1u;
            mine += 1.0;
        }
        sizes[k] = size;
    }
    list_due(local, mine);
}

fn group_of(k: u32) -> u32 {
    return k / (params.codes / params.groups);
}

// What is stored of code k so that its effective value is `value`.
fn stored(k: u32, f: u32, value: f32) -> f32 {
    if (!PLACE) { return value; }
    let g = group_of(k);
    let s = scale[f * params.groups + g];
    let far = select(s, select(-LEAST, LEAST, s >= 0.0), abs(s) < LEAST);
    return (value - bias[g * params.features + f]) / far;
}

// The value of a stored code k.
fn valued(k: u32, f: u32) -> f32 {
    let raw = codebook[k * params.features + f];
    if (!PLACE) { return raw; }
    let g = group_of(k);
    return bias[g * params.features + f] + scale[f * params.groups + g] * raw;
}

fn noise(k: u32, f: u32, length: f32) -> f32 {
    return NOISE * length * random_normal(params.stream + 1u, k * params.features + f);
}

// input_random: vectors of the batch, no two codes the same one unless there are fewer vectors than codes.
@compute @workgroup_size(64)
fn from_rows(@builtin(global_invocation_id) id: vec3<u32>) {
    let k = id.x;
    if (k >= params.codes || slots_in[k] == 0u) { return; }
    let n = random_distinct(params.stream, slots_in[k] - 1u, params.count);
    var squares = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let value = z[element(n, f)];
        squares += value * value;
    }
    let length = sqrt(squares);
    for (var f = 0u; f < params.features; f++) {
        codebook[k * params.features + f] = stored(k, f, z[element(n, f)] + noise(k, f, length));
    }
}

fn weight(k: u32) -> f32 {
    return exp(2.0 * f32(counts[k]) / f32(params.count)) - 1.0;
}

// self: the weights exp(2 share) - 1 added up over the codes of each thread. One workgroup.
@compute @workgroup_size(256)
fn weigh_codes(@builtin(local_invocation_index) local: u32) {
    let first = local * codes_of_thread();
    let end = min(first + codes_of_thread(), params.codes);
    var mine = 0.0;
    for (var k = first; k < end; k++) { mine += weight(k); }
    scan(local, mine);
    sums[local + 1u] = starts[local + 1u];
    if (local == 0u) { sums[0] = 0.0; }
}

// For each due code a code in use, drawn with these weights.
@compute @workgroup_size(64)
fn draw_parents(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= min(due_in[0], params.codes)) { return; }
    let at = unit(random_words(params.stream, i).x) * sums_in[256];
    var thread = 0u;
    while (thread < 255u && sums_in[thread + 1u] <= at) { thread += 1u; }
    var sum = sums_in[thread];
    var parent = 0u;
    // The last code in use before the sum passes `at`; rounding must not lead to an unused one.
    let last = min((thread + 1u) * codes_of_thread(), params.codes);
    for (var k = thread * codes_of_thread(); k < last && sum <= at; k++) {
        if (counts[k] > 0u) { parent = k; }
        sum += weight(k);
    }
    parents[i] = parent;
}

@compute @workgroup_size(64)
fn from_codes(@builtin(global_invocation_id) id: vec3<u32>) {
    let k = id.x;
    if (k >= params.codes || slots_in[k] == 0u) { return; }
    let parent = parents_in[slots_in[k] - 1u];
    var squares = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let value = valued(parent, f);
        squares += value * value;
    }
    let length = sqrt(squares);
    for (var f = 0u; f < params.features; f++) {
        codebook[k * params.features + f] = stored(k, f, valued(parent, f) + noise(k, f, length));
    }
}

// input_kmeans: rows to cluster, spread evenly over the batch, one from each part of it.
@compute @workgroup_size(64)
fn sample_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.samples) { return; }
    var n = i;
    if (params.samples < params.count) {
        let part = f32(params.count) / f32(params.samples);
        let inside = unit(random_words(params.stream, i).x);
        n = min(u32((f32(i) + inside) * part), params.count - 1u);
    }
    for (var f = 0u; f < params.features; f++) { samples[i * params.features + f] = z[element(n, f)]; }
}

// A centroid for each due code, from a random row, no row twice while there are enough.
@compute @workgroup_size(64)
fn seed_centroids(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= due_in[0]) { return; }
    let n = random_distinct(params.stream + 2u, i, params.samples);
    for (var f = 0u; f < params.features; f++) {
        centroids[i * params.features + f] = samples_in[n * params.features + f];
    }
}

@compute @workgroup_size(64)
fn from_centroids(@builtin(global_invocation_id) id: vec3<u32>) {
    let k = id.x;
    if (k >= params.codes || slots_in[k] == 0u) { return; }
    let row = (slots_in[k] - 1u) * params.features;
    var squares = 0.0;
    for (var f = 0u; f < params.features; f++) { squares += centroids_in[row + f] * centroids_in[row + f]; }
    let length = sqrt(squares);
    for (var f = 0u; f < params.features; f++) {
        codebook[k * params.features + f] = stored(k, f, centroids_in[row + f] + noise(k, f, length));
    }
}

// A replaced code starts with the cluster size of a new one.
@compute @workgroup_size(64)
fn reset_sizes(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < params.codes && slots_in[id.x] > 0u) { sizes[id.x] = params.fresh; }
}
