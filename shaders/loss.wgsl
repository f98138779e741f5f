// loss: mean of |y - target| or (y - target)^2; grad_y = scale * sign or 2 * (y - target). The sign of NaN is 0,
// as in PyTorch.
//
// As in the negative ELBO of B images of D values, S = sum (y - target)^2:
//   elbo          D / 2 ln(S / B)               grad_y = scale * D / S * (y - target)
//   elbo_learned  S / (2 B e^s) + D / 2 s       grad_y = scale / (B e^s) * (y - target)
//                                               grad_s = scale * (D / 2 - S / (2 B e^s))
// What follows from S alone is computed once, forward: the factor of y - target, and the gradient of s.

override SQUARED: bool = false;

// The least S of elbo: images that are equal have a loss and a gradient.
const FLOOR: f32 = 1e-30;

struct Params {
    count: u32,
    parts: u32,
    images: f32,                // B
    values: f32,                // D
    scale: f32,                 // backward: weight, of a mean weight / count
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> goal: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_y: array<f32>;
@group(0) @binding(5) var<storage, read> given: array<f32>;             // parts, or backward the slopes
@group(0) @binding(6) var<storage, read> log_var: array<f32>;           // [1] s
@group(0) @binding(7) var<storage, read_write> slopes: array<f32>;      // [2] factor of y - target, gradient of s
@group(0) @binding(8) var<storage, read_write> out: array<f32>;         // [1] the loss, or backward the gradient of s

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = group.x * 256u + local; i < params.count; i += params.parts * 256u) {
        let d = y[i] - goal[i];
        if (SQUARED) { sum += d * d; } else { sum += abs(d); }
    }
    let total = workgroup_sum(local, sum);
    if (local == 0u) { parts[group.x] = total; }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i >= params.count) { return; }
    let d = y[i] - goal[i];
    if (SQUARED) { grad_y[i] = 2.0 * params.scale * d; } else { grad_y[i] = params.scale * select(sign(d), 0.0, is_nan(d)); }
}

// S; every thread must call it. There are at most 256 parts.
fn sum_of_parts(local: u32) -> f32 {
    var part = 0.0;
    if (local < params.parts) { part = given[local]; }
    return workgroup_sum(local, part);
}

@compute @workgroup_size(256)
fn elbo(@builtin(local_invocation_index) local: u32) {
    let sum = sum_of_parts(local);
    if (local != 0u) { return; }
    let floored = max_or_nan(sum, FLOOR);
    slopes[0] = params.values / floored;
    slopes[1] = 0.0;
    // NaN and infinity stay what they are, whatever the logarithm makes of them.
    out[0] = select(sum, 0.5 * params.values * log(floored / params.images), is_finite(sum));
}

@compute @workgroup_size(256)
fn elbo_learned(@builtin(local_invocation_index) local: u32) {
    let sum = sum_of_parts(local);
    if (local != 0u) { return; }
    let s = log_var[0];
    let slope = exp(-s) / params.images;
    slopes[0] = slope;
    slopes[1] = 0.5 * (params.values - sum * slope);
    out[0] = 0.5 * (sum * slope + params.values * s);
}

@compute @workgroup_size(256)
fn elbo_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i >= params.count) { return; }
    grad_y[i] = params.scale * given[0] * (y[i] - goal[i]);
}

@compute @workgroup_size(1)
fn log_var_backward() {
    out[0] = params.scale * given[1];
}
