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

fn share() -> u32 {
    return (params.count + params.chunks - 1u) / params.chunks;
}

// The vectors of a chunk that this dispatch adds.
fn first_of(chunk: u32) -> u32 {
    return chunk * share() + params.first;
}

fn end_of(chunk: u32) -> u32 {
    return min(chunk * share() + min(params.end, share()), params.count);
}

// Where feature f of a chunk's column begins, cleared if it is to be.
fn start_of_chunk(chunk: u32, f: u32) -> u32 {
    let base = chunk * params.codes * params.features + f;
    if (params.clear == 1u) {
        for (var k = 0u; k < params.codes; k++) { partial[base + k * params.features] = 0.0; }
    }
    return base;
}

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
    let base = start_of_chunk(chunk, f);
    for (var n = first_of(chunk); n < end_of(chunk); n++) {
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

// The same of z - C[q]: small numbers, however far from the origin the vectors are.
@compute @workgroup_size(64)
fn add_up_differences(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.chunks * params.features) { return; }
    let f = item % params.features;
    let chunk = item / params.features;
    let base = start_of_chunk(chunk, f);
    for (var n = first_of(chunk); n < end_of(chunk); n++) {
        let at = q[n] * params.features;
        partial[base + at] += z[element(n, f)] - values[at + f];
    }
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

// To the mean of each cluster, by the sum of the differences; an empty one keeps its centroid.
@compute @workgroup_size(64)
fn move_centroids(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.codes * params.features) { return; }
    let n = counts[item / params.features];
    if (n > 0u) { centroids[item] += sums_in[item] / f32(n); }
}
