// affine: the effective codebook C'[k] = bias + scale * C[k], and the statistics behind it.
//
// G groups of K/G consecutive codes. The scale is [F, G], as the MLP that makes alpha leaves it; the
// bias is [G, F].

struct Params {
    codes: u32,                 // K
    features: u32,              // F
    groups: u32,                // G
    count: u32,                 // N
    positions: u32,             // z is [B, F, positions], n = b * positions + s
    momentum: f32,
    rate: f32,                  // learning-rate factor of the learned scale and bias
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> codebook: array<f32>;
@group(0) @binding(3) var<storage, read_write> ze_mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> ze_var: array<f32>;
@group(0) @binding(5) var<storage, read_write> c_mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> c_var: array<f32>;
@group(0) @binding(7) var<storage, read_write> initialized: array<f32>;
@group(0) @binding(8) var<storage, read_write> scale0: array<f32>;
@group(0) @binding(9) var<storage, read_write> bias0: array<f32>;
@group(0) @binding(10) var<storage, read> scale: array<f32>;
@group(0) @binding(11) var<storage, read> bias: array<f32>;
@group(0) @binding(12) var<storage, read_write> result: array<f32>;
@group(0) @binding(13) var<storage, read> grad_result: array<f32>;
@group(0) @binding(14) var<storage, read_write> grad_codebook: array<f32>;
@group(0) @binding(16) var<storage, read_write> grad_scale: array<f32>;
@group(0) @binding(17) var<storage, read_write> grad_bias: array<f32>;
@group(0) @binding(18) var<storage, read> learned_scale: array<f32>;
@group(0) @binding(19) var<storage, read> learned_bias: array<f32>;
@group(0) @binding(20) var<storage, read> grad_from: array<f32>;
@group(0) @binding(21) var<storage, read_write> grad_learned: array<f32>;

// Where the scale of group g, feature f stands; `at` is g * F + f.
fn scale_at(at: u32) -> u32 {
    return (at % params.features) * params.groups + at / params.features;
}

fn blend(old: f32, sample: f32, first: bool) -> f32 {
    return select((1.0 - params.momentum) * old + params.momentum * sample, sample, first);
}

// Moments (biased) of z over its N vectors, a workgroup a feature, into the running values.
@compute @workgroup_size(256)
fn z_statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let f = linear_group(group, groups);
    if (f >= params.features) { return; }
    var sum = 0.0;
    for (var n = local; n < params.count; n += 256u) { sum += z[element(n, f)]; }
    let mean = workgroup_sum(local, sum) / f32(params.count);
    var squares = 0.0;
    for (var n = local; n < params.count; n += 256u) {
        let e = z[element(n, f)] - mean;
        squares += e * e;
    }
    let variance = workgroup_sum(local, squares) / f32(params.count);
    if (local == 0u) {
        let first = initialized[0] == 0.0;
        for (var g = 0u; g < params.groups; g++) {
            let at = g * params.features + f;
            ze_mean[at] = blend(ze_mean[at], mean, first);
            ze_var[at] = blend(ze_var[at], variance, first);
        }
    }
}

// Moments (biased) of the codes of a group, a workgroup a group and feature.
@compute @workgroup_size(256)
fn codebook_statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_group(group, groups);
    if (at >= params.groups * params.features) { return; }
    let rows = params.codes / params.groups;
    let first_row = (at / params.features) * rows;
    let f = at % params.features;
    var sum = 0.0;
    for (var k = local; k < rows; k += 256u) { sum += codebook[(first_row + k) * params.features + f]; }
    let mean = workgroup_sum(local, sum) / f32(rows);
    var squares = 0.0;
    for (var k = local; k < rows; k += 256u) {
        let e = codebook[(first_row + k) * params.features + f] - mean;
        squares += e * e;
    }
    let variance = workgroup_sum(local, squares) / f32(rows);
    if (local == 0u) {
        let first = initialized[0] == 0.0;
        c_mean[at] = blend(c_mean[at], mean, first);
        c_var[at] = blend(c_var[at], variance, first);
    }
}

// From here on the running values are blended instead of copied.
@compute @workgroup_size(1)
fn mark_initialized() {
    initialized[0] = 1.0;
}

// scale0 = sqrt(var_z / (var_c + 1e-8)),  bias0 = mean_z - scale0 * mean_c
@compute @workgroup_size(64)
fn match_moments(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if (at >= params.groups * params.features) { return; }
    let s = sqrt(ze_var[at] / (c_var[at] + 1e-8));
    scale0[scale_at(at)] = s;
    bias0[at] = ze_mean[at] - s * c_mean[at];
}

// Learned:  scale = 1 + rate * s,  bias = rate * b;  s and b are [G, F].
@compute @workgroup_size(64)
fn learned(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if (at >= params.groups * params.features) { return; }
    scale0[scale_at(at)] = 1.0 + params.rate * learned_scale[at];
    bias0[at] = params.rate * learned_bias[at];
}

@compute @workgroup_size(64)
fn learned_backward_scale(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if (at >= params.groups * params.features) { return; }
    grad_learned[at] = params.rate * grad_from[scale_at(at)];
}

@compute @workgroup_size(64)
fn learned_backward_bias(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if (at >= params.groups * params.features) { return; }
    grad_learned[at] = params.rate * grad_from[at];
}

// result[f] = [C[:, f]; scale[:, f]; bias[:, f]]: the rows that the MLP sees.
@compute @workgroup_size(64)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    let width = params.codes + 2u * params.groups;
    if (item >= width * params.features) { return; }
    let i = item % width;
    let f = item / width;
    var value = 0.0;
    if (i < params.codes) {
        value = codebook[i * params.features + f];
    } else if (i < params.codes + params.groups) {
        value = scale[f * params.groups + i - params.codes];
    } else {
        value = bias[(i - params.codes - params.groups) * params.features + f];
    }
    result[item] = value;
}

// grad_codebook[k, f] = grad_result[f, k]; scale and bias have no gradient here.
@compute @workgroup_size(64)
fn rows_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.codes * params.features) { return; }
    let k = item / params.features;
    let f = item % params.features;
    grad_codebook[item] = grad_result[f * (params.codes + 2u * params.groups) + k];
}

@compute @workgroup_size(64)
fn apply(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.codes * params.features) { return; }
    let g = item / params.features / (params.codes / params.groups);
    let f = item % params.features;
    let factor = scale[f * params.groups + g];
    result[item] = bias[g * params.features + f] + factor * codebook[item];
}

// A workgroup a group and feature:
//   grad_C = scale * grad_C',  grad_scale = sum_k grad_C' C,  grad_bias = sum_k grad_C'
@compute @workgroup_size(256)
fn apply_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_group(group, groups);
    if (at >= params.groups * params.features) { return; }
    let codes = params.codes / params.groups;
    let g = at / params.features;
    let f = at % params.features;
    let place = f * params.groups + g;
    let factor = scale[place];
    var sum = 0.0;
    var plain = 0.0;
    for (var k = local; k < codes; k += 256u) {
        let item = (g * codes + k) * params.features + f;
        grad_codebook[item] = factor * grad_result[item];
        sum += grad_result[item] * codebook[item];
        plain += grad_result[item];
    }
    let total = workgroup_sum(local, sum);
    let total_plain = workgroup_sum(local, plain);
    if (local == 0u) {
        grad_scale[place] = total;
        grad_bias[at] = total_plain;
    }
}
