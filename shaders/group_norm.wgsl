// group_norm: y = weight * (x - mean) / sqrt(var + eps) + bias, the moments over the channels of a
// group and the pixels of one image. Instance norm is a group a channel.

override AFFINE: bool = true;   // false: weight 1, bias 0

struct Params {
    rows: u32,                  // images
    channels: u32,
    pixels: u32,
    groups: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;
@group(0) @binding(6) var<storage, read> grad_y: array<f32>;
@group(0) @binding(7) var<storage, read> stats_in: array<f32>;
@group(0) @binding(8) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(9) var<storage, read_write> grad_weight: array<f32>;
@group(0) @binding(10) var<storage, read_write> grad_bias: array<f32>;

fn weight_of(c: u32) -> f32 {
    if (AFFINE) { return weight[c]; }
    return 1.0;
}

// A workgroup a group of an image; its elements lie side by side.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_group(group, groups);
    if (at >= params.rows * params.groups) { return; }
    let count = params.channels / params.groups * params.pixels;
    let first = at * count;
    var sum = 0.0;
    for (var i = local; i < count; i += 256u) { sum += x[first + i]; }
    let mean = workgroup_sum(local, sum) / f32(count);
    var squares = 0.0;
    for (var i = local; i < count; i += 256u) {
        let d = x[first + i] - mean;
        squares += d * d;
    }
    let inverse = 1.0 / sqrt(workgroup_sum(local, squares) / f32(count) + params.eps);
    if (local == 0u) {
        stats[2u * at] = mean;
        stats[2u * at + 1u] = inverse;
    }
    let first_channel = at % params.groups * (params.channels / params.groups);
    for (var i = local; i < count; i += 256u) {
        let c = first_channel + i / params.pixels;
        var shift = 0.0;
        if (AFFINE) { shift = bias[c]; }
        y[first + i] = (x[first + i] - mean) * inverse * weight_of(c) + shift;
    }
}

// With h = weight grad_y:  grad_x = inverse (h - mean(h) - x^ mean(h x^))
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_group(group, groups);
    if (at >= params.rows * params.groups) { return; }
    let count = params.channels / params.groups * params.pixels;
    let first = at * count;
    let first_channel = at % params.groups * (params.channels / params.groups);
    let mean = stats_in[2u * at];
    let inverse = stats_in[2u * at + 1u];
    var sum = 0.0;
    var weighted = 0.0;
    for (var i = local; i < count; i += 256u) {
        let h = weight_of(first_channel + i / params.pixels) * grad_y[first + i];
        sum += h;
        weighted += h * (x[first + i] - mean) * inverse;
    }
    let mean_h = workgroup_sum(local, sum) / f32(count);
    let mean_weighted = workgroup_sum(local, weighted) / f32(count);
    for (var i = local; i < count; i += 256u) {
        let h = weight_of(first_channel + i / params.pixels) * grad_y[first + i];
        let hat = (x[first + i] - mean) * inverse;
        grad_x[first + i] = inverse * (h - mean_h - hat * mean_weighted);
    }
}

// The same two, a thread a group: groups of a few pixels are too small for a workgroup.
@compute @workgroup_size(64)
fn forward_small(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_group(group, groups) * 64u + local;
    if (at >= params.rows * params.groups) { return; }
    let size = params.channels / params.groups;
    let count = size * params.pixels;
    let first = at * count;
    var sum = 0.0;
    for (var i = 0u; i < count; i++) { sum += x[first + i]; }
    let mean = sum / f32(count);
    var squares = 0.0;
    for (var i = 0u; i < count; i++) {
        let d = x[first + i] - mean;
        squares += d * d;
    }
    let inverse = 1.0 / sqrt(squares / f32(count) + params.eps);
    stats[2u * at] = mean;
    stats[2u * at + 1u] = inverse;
    for (var j = 0u; j < size; j++) {
        let c = at % params.groups * size + j;
        let scale = weight_of(c) * inverse;
        var shift = 0.0;
        if (AFFINE) { shift = bias[c]; }
        let start = first + j * params.pixels;
        for (var i = start; i < start + params.pixels; i++) { y[i] = (x[i] - mean) * scale + shift; }
    }
}

@compute @workgroup_size(64)
fn backward_small(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_group(group, groups) * 64u + local;
    if (at >= params.rows * params.groups) { return; }
    let size = params.channels / params.groups;
    let count = size * params.pixels;
    let first = at * count;
    let mean = stats_in[2u * at];
    let inverse = stats_in[2u * at + 1u];
    var sum = 0.0;
    var weighted = 0.0;
    for (var j = 0u; j < size; j++) {
        let w = weight_of(at % params.groups * size + j);
        let start = first + j * params.pixels;
        for (var i = start; i < start + params.pixels; i++) {
            let h = w * grad_y[i];
            sum += h;
            weighted += h * (x[i] - mean) * inverse;
        }
    }
    let mean_h = sum / f32(count);
    let mean_weighted = weighted / f32(count);
    for (var j = 0u; j < size; j++) {
        let w = weight_of(at % params.groups * size + j);
        let start = first + j * params.pixels;
        for (var i = start; i < start + params.pixels; i++) {
            let hat = (x[i] - mean) * inverse;
            grad_x[i] = inverse * (w * grad_y[i] - mean_h - hat * mean_weighted);
        }
    }
}

// A workgroup a channel, over all images.
@compute @workgroup_size(256)
fn backward_weight(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let c = linear_group(group, groups);
    if (c >= params.channels) { return; }
    let of_group = c / (params.channels / params.groups);
    var sum = 0.0;
    var weighted = 0.0;
    for (var i = local; i < params.rows * params.pixels; i += 256u) {
        let row = i / params.pixels;
        let item = (row * params.channels + c) * params.pixels + i % params.pixels;
        let stat = 2u * (row * params.groups + of_group);
        sum += grad_y[item];
        weighted += grad_y[item] * (x[item] - stats_in[stat]) * stats_in[stat + 1u];
    }
    let total = workgroup_sum(local, sum);
    let total_weighted = workgroup_sum(local, weighted);
    if (local == 0u) {
        grad_bias[c] = total;
        grad_weight[c] = total_weighted;
    }
}
