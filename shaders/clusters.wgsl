// clusters: the sum of the vectors of each code, in columns.

struct Params {
    count: u32,                 // N
    features: u32,              // F
    codes: u32,                 // K
    positions: u32,             // z is [B, F, positions], n = b * positions + s
    chunks: u32,
    clear: u32,
    first: u32,
    end: u32,
    factor: f32,                // pull: 2 / (N F)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<u32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;
@group(0) @binding(6) var<storage, read> sums: array<f32>;
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
    let base = start_of_chunk(chunk, f);
    let end = end_of(chunk);
    for (var n = first_of(chunk); n < end; n++) {
        partial[base + q[n] * params.features] += z[element(n, f)];
    }
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
    let end = end_of(chunk);
    for (var n = first_of(chunk); n < end; n++) {
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
    grad[item] = params.factor * (n * values[item] - sums[item]);
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
    if (n > 0u) { centroids[item] += sums[item] / f32(n); }
}
