// attention: causal self-attention of sequences, in heads (Vaswani et al. 2017).
//
//   S[t, s] = scale q[t] . k[s]   for s <= t
//   P[t]    = softmax of S[t] over s <= t, 0 beyond
//   y[t]    = sum_s P[t, s] v[s]
//
//   G[t, s] = P[t, s] (grad_y[t] . v[s] - sum_r P[t, r] grad_y[t] . v[r])
//   grad_q[t] = scale sum_s G[t, s] k[s]     grad_k[s] = scale sum_t G[t, s] q[t]     grad_v[s] = sum_t P[t, s] grad_y[t]
//
// A row of qkv holds q, k and v of a position, a head's numbers side by side, a multiple of four, so that all go by fours.
// Of each sequence `queries` positions are asked for, from step.position on: all of them in training, one where a sequence
// grows.

struct Params {
    sequences: u32,             // B
    heads: u32,                 // H
    width: u32,                 // E / 4, of all heads together
    length: u32,                // L, positions of a sequence
    queries: u32,               // Q, of them that are asked for
    scale: f32,
}

struct Step {
    position: u32,              // the first position that is asked for
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;         // [B, L, 3, E]
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;     // [B, H, Q, L] S, then P
@group(0) @binding(3) var<storage, read> given: array<f32>;             // P
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;     // [B, Q, E]
@group(0) @binding(5) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> slopes: array<f32>;      // [B, H, L, L] grad_y . v, then G
@group(0) @binding(7) var<storage, read> grad_scores: array<f32>;       // G
@group(0) @binding(8) var<storage, read_write> grad_qkv: array<vec4<f32>>;
@group(0) @binding(15) var<uniform> step: Step;

// Where q (0), k (1) or v (2) of position s of sequence b begins.
fn place(b: u32, s: u32, which: u32) -> u32 {
    return ((b * params.length + s) * 3u + which) * params.width;
}

@compute @workgroup_size(64)
fn scores(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.sequences * params.heads * params.queries * params.length) { return; }
    let s = item % params.length;
    let row = item / params.length;
    let t = step.position + row % params.queries;
    let head = row / params.queries % params.heads;
    let b = row / params.queries / params.heads;
    var sum = 0.0;
    if (s <= t) {
        let size = params.width / params.heads;
        let q = place(b, t, 0u) + head * size;
        let k = place(b, s, 1u) + head * size;
        for (var i = 0u; i < size; i++) { sum += dot(qkv[q + i], qkv[k + i]); }
    }
    weights[item] = params.scale * sum;
}

// A row a thread.
@compute @workgroup_size(64)
fn softmax(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = linear_group(group, groups) * 64u + local;
    if (row >= params.sequences * params.heads * params.queries) { return; }
    let end = min(step.position + row % params.queries + 1u, params.length);
    let first = row * params.length;
    var most = weights[first];
    for (var s = 1u; s < end; s++) { most = max_or_nan(most, weights[first + s]); }
    var sum = 0.0;
    for (var s = 0u; s < end; s++) {
        let value = exp(weights[first + s] - most);
        weights[first + s] = value;
        sum += value;
    }
    for (var s = 0u; s < end; s++) { weights[first + s] /= sum; }
}

@compute @workgroup_size(64)
fn mix(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.sequences * params.queries * params.width) { return; }
    let e = item % params.width;
    let i = item / params.width % params.queries;
    let b = item / params.width / params.queries;
    let head = e / (params.width / params.heads);
    let row = ((b * params.heads + head) * params.queries + i) * params.length;
    let end = min(step.position + i + 1u, params.length);
    var sum = vec4(0.0);
    for (var s = 0u; s < end; s++) { sum += given[row + s] * qkv[place(b, s, 2u) + e]; }
    y[item] = sum;
}

// ---------------------------------------------------------------------------------- backward: all positions are asked for

@compute @workgroup_size(64)
fn backward_weights(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.sequences * params.heads * params.length * params.length) { return; }
    let s = item % params.length;
    let row = item / params.length;
    let t = row % params.length;
    let head = row / params.length % params.heads;
    let b = row / params.length / params.heads;
    var sum = 0.0;
    if (s <= t) {
        let size = params.width / params.heads;
        let g = (b * params.length + t) * params.width + head * size;
        let v = place(b, s, 2u) + head * size;
        for (var i = 0u; i < size; i++) { sum += dot(grad_y[g + i], qkv[v + i]); }
    }
    slopes[item] = sum;
}

// A row a thread.
@compute @workgroup_size(64)
fn backward_softmax(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = linear_group(group, groups) * 64u + local;
    if (row >= params.sequences * params.heads * params.length) { return; }
    let end = row % params.length + 1u;
    let first = row * params.length;
    var mean = 0.0;
    for (var s = 0u; s < end; s++) { mean += given[first + s] * slopes[first + s]; }
    for (var s = 0u; s < end; s++) { slopes[first + s] = given[first + s] * (slopes[first + s] - mean); }
}

// Four numbers of each of q, k and v of a position a thread.
@compute @workgroup_size(64)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.sequences * params.length * params.width) { return; }
    let e = item % params.width;
    let at = item / params.width % params.length;
    let b = item / params.width / params.length;
    let head = e / (params.width / params.heads);
    let square = (b * params.heads + head) * params.length * params.length;
    var query = vec4(0.0);
    for (var s = 0u; s <= at; s++) { query += grad_scores[square + at * params.length + s] * qkv[place(b, s, 1u) + e]; }
    var key = vec4(0.0);
    var value = vec4(0.0);
    for (var t = at; t < params.length; t++) {
        let pair = square + t * params.length + at;
        key += grad_scores[pair] * qkv[place(b, t, 0u) + e];
        value += given[pair] * grad_y[(b * params.length + t) * params.width + e];
    }
    grad_qkv[place(b, at, 0u) + e] = params.scale * query;
    grad_qkv[place(b, at, 1u) + e] = params.scale * key;
    grad_qkv[place(b, at, 2u) + e] = value;
}
