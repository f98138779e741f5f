// cross_entropy: of row r, whose code is c, over the codes that its position can have, in nats:
//
//   loss[r]        = log sum_k exp(x[r, k]) - x[r, c]
//   grad_x[r, k]   = scale (softmax(x[r])[k] - (k = c)),  0 for codes that the position cannot have
//
// The codes of position t are ranges[2t] and the ranges[2t + 1] - 1 that follow it.

struct Params {
    rows: u32,                  // R
    codes: u32,                 // V, numbers of a row
    length: u32,                // L, positions of a sequence, whose rows lie side by side
    scale: f32,                 // of the gradient
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;                 // [R, V]
@group(0) @binding(2) var<storage, read> goal: array<u32>;              // [R]
@group(0) @binding(3) var<storage, read> ranges: array<u32>;            // [L, 2]
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;      // [R]
@group(0) @binding(5) var<storage, read_write> levels: array<f32>;      // [R] log sum exp
@group(0) @binding(6) var<storage, read> levels_in: array<f32>;
@group(0) @binding(7) var<storage, read_write> grad_x: array<f32>;

// A row a workgroup.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = linear_group(group, groups);
    if (r >= params.rows) { return; }
    let t = r % params.length;
    let first = r * params.codes + ranges[2u * t];
    let count = ranges[2u * t + 1u];
    var part = x[first];
    for (var k = local; k < count; k += 256u) { part = max_or_nan(part, x[first + k]); }
    let most = workgroup_max(local, part);
    part = 0.0;
    for (var k = local; k < count; k += 256u) { part += exp(x[first + k] - most); }
    let level = most + log(workgroup_sum(local, part));
    if (local == 0u) {
        levels[r] = level;
        losses[r] = level - x[r * params.codes + goal[r]];
    }
}

// The same, a row a thread: a few codes are too little for a workgroup.
@compute @workgroup_size(64)
fn forward_small(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = linear_group(group, groups) * 64u + local;
    if (r >= params.rows) { return; }
    let t = r % params.length;
    let first = r * params.codes + ranges[2u * t];
    let count = ranges[2u * t + 1u];
    var most = x[first];
    for (var k = 1u; k < count; k++) { most = max_or_nan(most, x[first + k]); }
    var sum = 0.0;
    for (var k = 0u; k < count; k++) { sum += exp(x[first + k] - most); }
    let level = most + log(sum);
    levels[r] = level;
    losses[r] = level - x[r * params.codes + goal[r]];
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 256u + local;
    if (item >= params.rows * params.codes) { return; }
    let k = item % params.codes;
    let r = item / params.codes;
    let t = r % params.length;
    var slope = 0.0;
    // Below the first one it wraps round, and is beyond the last.
    if (k - ranges[2u * t] < ranges[2u * t + 1u]) {
        slope = params.scale * (exp(x[item] - levels_in[r]) - f32(goal[r] == k));
    }
    grad_x[item] = slope;
}
