// clusters: the sum of the vectors of each code.
//
// In two stages, as the way back in quantize.wgsl: a thread owns a feature of a chunk of vectors and
// adds into its own [K] column, so no two threads meet and the order is fixed.

struct Params {
    count: u32,                 // N
    features: u32,              // F
    codes: u32,                 // K
    positions: u32,             // z is [B, F, positions], n = b * positions + s
    chunks: u32,
    clear: u32,                 // 1: the columns start at zero, else they go on
    first: u32,                 // vectors of each chunk that this dispatch adds: from here
    end: u32,                   // up to here
    factor: f32,                // pull: 2 / (N F)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<u32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;
@group(0) @binding(4) var<storage, read> partial_in: array<f32>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;
@group(0) @binding(6) var<storage, read> sums_in: array<f32>;
@group(0) @binding(7) var<storage, read> counts: array<u32>;
@group(0) @binding(8) var<storage, read> values: array<f32>;
@group(0) @binding(9) var<storage, read_write> grad: array<f32>;
@group(0) @binding(10) var<storage, read_write> centroids: array<f32>;

@compute @workgroup_size(64)
fn add_up(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.chunks * params.features) { return; }
    let f = item % params.features;
    let chunk = item / params.features;
    let base = chunk * params.codes * params.features + f;
    if (params.clear == 1u) {
        for (var k = 0u; k < params.codes; k++) { partial[base + k * params.features] = 0.0; }
    }
    let share = (params.count + params.chunks - 1u) / params.chunks;
    let end = min(chunk * share + min(params.end, share), params.count);
    for (var n = chunk * share + params.first; n < end; n++) {
        partial[base + q[n] * params.features] += z[element(n, f)];
    }
}

@compute @workgroup_size(64)
fn join(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    let size = params.codes * params.features;
    if (item >= size) { return; }
    var sum = 0.0;
    for (var chunk = 0u; chunk < params.chunks; chunk++) { sum += partial_in[chunk * size + item]; }
    sums[item] = sum;
}

// Gradient of mean (T[q] - z)^2 with respect to T:  2/(NF) (n_k T_k - sum of the vectors of k)
@compute @workgroup_size(64)
fn pull(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.codes * params.features) { return; }
    let n = f32(counts[item / params.features]);
    grad[item] = params.factor * (n * values[item] - sums_in[item]);
}

// The mean of each cluster; an empty one keeps its centroid.
@compute @workgroup_size(64)
fn move_centroids(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.codes * params.features) { return; }
    let n = counts[item / params.features];
    if (n > 0u) { centroids[item] = sums_in[item] / f32(n); }
}
