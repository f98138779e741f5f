// batch_norm: y = weight * (x - mean) / sqrt(var + eps) + bias, per channel over rows and pixels.
// A workgroup a channel; of few values, a thread a channel (`_narrow`). `stats` keeps mean and 1/sqrt(var + eps) for the way back.

override TRAINING: bool = true;

struct Params {
    rows: u32,
    channels: u32,
    pixels: u32,
    eps: f32,
    momentum: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;
@group(0) @binding(6) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(7) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(8) var<storage, read> grad_y: array<f32>;
@group(0) @binding(9) var<storage, read> stats_in: array<f32>;
@group(0) @binding(10) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(11) var<storage, read_write> grad_weight: array<f32>;
@group(0) @binding(12) var<storage, read_write> grad_bias: array<f32>;

// Element i of channel c.
fn index(c: u32, i: u32) -> u32 {
    return ((i / params.pixels) * params.channels + c) * params.pixels + i % params.pixels;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let c = linear_group(group, groups);
    if (c >= params.channels) { return; }
    let count = params.rows * params.pixels;
    var mean = 0.0;
    var inverse = 0.0;
    if (TRAINING) {
        var sum = 0.0;
        for (var i = local; i < count; i += 256u) { sum += x[index(c, i)]; }
        mean = workgroup_sum(local, sum) / f32(count);
        var squares = 0.0;
        for (var i = local; i < count; i += 256u) {
            let d = x[index(c, i)] - mean;
            squares += d * d;
        }
        let total = workgroup_sum(local, squares);
        inverse = 1.0 / sqrt(total / f32(count) + params.eps);
        if (local == 0u) {
            let m = params.momentum;
            running_mean[c] = (1.0 - m) * running_mean[c] + m * mean;
            running_var[c] = (1.0 - m) * running_var[c] + m * total / f32(count - 1u);
        }
    } else {
        mean = running_mean[c];
        inverse = 1.0 / sqrt(running_var[c] + params.eps);
    }
    if (local == 0u) {
        stats[2u * c] = mean;
        stats[2u * c + 1u] = inverse;
    }
    let scale = weight[c] * inverse;
    for (var i = local; i < count; i += 256u) {
        let at = index(c, i);
        y[at] = (x[at] - mean) * scale + bias[c];
    }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let c = linear_group(group, groups);
    if (c >= params.channels) { return; }
    let count = params.rows * params.pixels;
    let mean = stats_in[2u * c];
    let inverse = stats_in[2u * c + 1u];
    var sum = 0.0;
    var weighted = 0.0;
    for (var i = local; i < count; i += 256u) {
        let at = index(c, i);
        sum += grad_y[at];
        weighted += grad_y[at] * (x[at] - mean) * inverse;
    }
    let total = workgroup_sum(local, sum);
    let total_weighted = workgroup_sum(local, weighted);
    if (local == 0u) {
        grad_bias[c] = total;
        grad_weight[c] = total_weighted;
    }
    for (var i = local; i < count; i += 256u) {
        let at = index(c, i);
        var g = grad_y[at];
        if (TRAINING) {
            g -= (total + (x[at] - mean) * inverse * total_weighted) / f32(count);
        }
        grad_x[at] = weight[c] * inverse * g;
    }
}

@compute @workgroup_size(64)
fn forward_narrow(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let c = linear_group(group, groups) * 64u + local;
    if (c >= params.channels) { return; }
    let count = params.rows * params.pixels;
    var mean = 0.0;
    var inverse = 0.0;
    if (TRAINING) {
        var sum = 0.0;
        for (var i = 0u; i < count; i++) { sum += x[index(c, i)]; }
        mean = sum / f32(count);
        var total = 0.0;
        for (var i = 0u; i < count; i++) {
            let d = x[index(c, i)] - mean;
            total += d * d;
        }
        inverse = 1.0 / sqrt(total / f32(count) + params.eps);
        let m = params.momentum;
        running_mean[c] = (1.0 - m) * running_mean[c] + m * mean;
        running_var[c] = (1.0 - m) * running_var[c] + m * total / f32(count - 1u);
    } else {
        mean = running_mean[c];
        inverse = 1.0 / sqrt(running_var[c] + params.eps);
    }
    stats[2u * c] = mean;
    stats[2u * c + 1u] = inverse;
    let scale = weight[c] * inverse;
    let shift = bias[c];
    for (var i = 0u; i < count; i++) {
        let at = index(c, i);
        y[at] = (x[at] - mean) * scale + shift;
    }
}

@compute @workgroup_size(64)
fn backward_narrow(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let c = linear_group(group, groups) * 64u + local;
    if (c >= params.channels) { return; }
    let count = params.rows * params.pixels;
    let mean = stats_in[2u * c];
    let inverse = stats_in[2u * c + 1u];
    var total = 0.0;
    var total_weighted = 0.0;
    for (var i = 0u; i < count; i++) {
        let at = index(c, i);
        let g = grad_y[at];
        total += g;
        total_weighted += g * (x[at] - mean) * inverse;
    }
    grad_bias[c] = total;
    grad_weight[c] = total_weighted;
    let scale = weight[c] * inverse;
    for (var i = 0u; i < count; i++) {
        let at = index(c, i);
        var g = grad_y[at];
        if (TRAINING) {
            g -= (total + (x[at] - mean) * inverse * total_weighted) / f32(count);
        }
        grad_x[at] = scale * g;
    }
}
