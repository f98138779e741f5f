// gamma: the learned offset of what a code stands for, T[k] = C'[k] + gamma.
//
// An offset depends on a vector only through its code, so it is computed once a code, [K, F],
// whatever the number of vectors.
//
// default      gamma[f], from an MLP:                 grad_gamma[f] = sum_k grad_T[k,f]
// personalize  a column [mean, c, var] of each channel f, mean and biased var over the codes:
//              u0 = w0 mean + w1 c + b,  u1 = w0 c + w1 var + b,
//              gamma = v0 relu(u0) + v1 relu(u1) + e

struct Params {
    codes: u32,
    features: u32,
    each: u32,                  // 1: gamma is [K, F]; 0: [F]
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> codebook: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@group(0) @binding(4) var<storage, read> grad_result: array<f32>;
@group(0) @binding(5) var<storage, read_write> grad_codebook: array<f32>;
@group(0) @binding(6) var<storage, read_write> grad_gamma: array<f32>;
@group(0) @binding(7) var<storage, read> w: array<f32>;
@group(0) @binding(8) var<storage, read> b: array<f32>;
@group(0) @binding(9) var<storage, read> v: array<f32>;
@group(0) @binding(10) var<storage, read> e: array<f32>;
@group(0) @binding(11) var<storage, read_write> grad_w: array<f32>;
@group(0) @binding(12) var<storage, read_write> grad_b: array<f32>;
@group(0) @binding(13) var<storage, read_write> grad_v: array<f32>;
@group(0) @binding(14) var<storage, read_write> grad_e: array<f32>;

@compute @workgroup_size(64)
fn offset(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.codes * params.features) { return; }
    result[item] = codebook[item] + gamma[select(item % params.features, item, params.each == 1u)];
}

@compute @workgroup_size(256)
fn offset_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let f = linear_group(group, groups);
    if (f >= params.features) { return; }
    var sum = 0.0;
    for (var k = local; k < params.codes; k += 256u) {
        let item = k * params.features + f;
        grad_codebook[item] = grad_result[item];
        if (params.each == 1u) { grad_gamma[item] = grad_result[item]; }
        sum += grad_result[item];
    }
    let total = workgroup_sum(local, sum);
    if (local == 0u && params.each == 0u) { grad_gamma[f] = total; }
}

struct Column {
    mean: f32,
    variance: f32,
}

fn column(f: u32, local: u32) -> Column {
    var sum = 0.0;
    for (var k = local; k < params.codes; k += 256u) { sum += codebook[k * params.features + f]; }
    let mean = workgroup_sum(local, sum) / f32(params.codes);
    var squares = 0.0;
    for (var k = local; k < params.codes; k += 256u) {
        let d = codebook[k * params.features + f] - mean;
        squares += d * d;
    }
    return Column(mean, workgroup_sum(local, squares) / f32(params.codes));
}

fn relu(u: vec2<f32>) -> vec2<f32> {
    return vec2(keep_nan(u.x, max(u.x, 0.0)), keep_nan(u.y, max(u.y, 0.0)));
}

fn hidden(f: u32, col: Column, c: f32) -> vec2<f32> {
    let w0 = w[2u * f];
    let w1 = w[2u * f + 1u];
    return vec2(w0 * col.mean + w1 * c + b[f], w0 * c + w1 * col.variance + b[f]);
}

@compute @workgroup_size(256)
fn personalize(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let f = linear_group(group, groups);
    if (f >= params.features) { return; }
    let col = column(f, local);
    for (var k = local; k < params.codes; k += 256u) {
        let c = codebook[k * params.features + f];
        let u = relu(hidden(f, col, c));
        result[k * params.features + f] = v[2u * f] * u.x + v[2u * f + 1u] * u.y + e[f];
    }
}

// To v and e.
@compute @workgroup_size(256)
fn personalize_backward_out(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let f = linear_group(group, groups);
    if (f >= params.features) { return; }
    let col = column(f, local);
    var to_v = vec2(0.0);
    var to_e = 0.0;
    for (var k = local; k < params.codes; k += 256u) {
        let item = k * params.features + f;
        to_v += grad_result[item] * relu(hidden(f, col, codebook[item]));
        to_e += grad_result[item];
    }
    let v0 = workgroup_sum(local, to_v.x);
    let v1 = workgroup_sum(local, to_v.y);
    let e0 = workgroup_sum(local, to_e);
    if (local == 0u) {
        grad_v[2u * f] = v0;
        grad_v[2u * f + 1u] = v1;
        grad_e[f] = e0;
    }
}

// To w, b and the codebook.
@compute @workgroup_size(256)
fn personalize_backward_in(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let f = linear_group(group, groups);
    if (f >= params.features) { return; }
    let col = column(f, local);
    let vs = vec2(v[2u * f], v[2u * f + 1u]);
    let ws = vec2(w[2u * f], w[2u * f + 1u]);
    var to_w = vec2(0.0);
    var to_u = vec2(0.0);
    for (var k = local; k < params.codes; k += 256u) {
        let item = k * params.features + f;
        let c = codebook[item];
        let u = hidden(f, col, c);
        let passes = (u > vec2(0.0)) | vec2(is_nan(u.x), is_nan(u.y));
        let du = select(vec2(0.0), grad_result[item] * vs, passes);
        to_w += vec2(du.x * col.mean + du.y * c, du.x * c + du.y * col.variance);
        to_u += du;
        grad_codebook[item] = du.x * ws.y + du.y * ws.x;
    }
    let w0 = workgroup_sum(local, to_w.x);
    let w1 = workgroup_sum(local, to_w.y);
    let u0 = workgroup_sum(local, to_u.x);
    let u1 = workgroup_sum(local, to_u.y);
    if (local == 0u) {
        grad_w[2u * f] = w0;
        grad_w[2u * f + 1u] = w1;
        grad_b[f] = u0 + u1;
    }
    // Through mean and variance: each thread adds to the elements that it wrote itself.
    for (var k = local; k < params.codes; k += 256u) {
        let item = k * params.features + f;
        let through_mean = u0 * ws.x;
        let through_variance = u1 * ws.y * 2.0 * (codebook[item] - col.mean);
        grad_codebook[item] += (through_mean + through_variance) / f32(params.codes);
    }
}
