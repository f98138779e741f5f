// linear: y[r,o] = bias[o] + sum_i x[r,i] w[o,i]

// What follows takes no notice of the bias (a training batch norm subtracts it again): its
// gradient is zero, and summing up would leave rounding noise that AdamW blows up to full steps.
override BIAS_CANCELS: bool = false;
override HAS_BIAS: bool = true;

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    first: u32,                 // what is summed over in this dispatch: from here
    end: u32,                   // up to here
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> grad_y: array<f32>;
@group(0) @binding(6) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(7) var<storage, read_write> grad_w: array<f32>;
@group(0) @binding(8) var<storage, read_write> grad_bias: array<f32>;

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.rows * params.outputs) { return; }
    let o = item % params.outputs;
    let r = item / params.outputs;
    var sum = 0.0;
    if (params.first > 0u) { sum = y[item]; } else if (HAS_BIAS) { sum = bias[o]; }
    for (var i = params.first; i < params.end; i++) {
        sum += x[r * params.inputs + i] * w[o * params.inputs + i];
    }
    y[item] = sum;
}

@compute @workgroup_size(64)
fn backward_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.rows * params.inputs) { return; }
    let i = item % params.inputs;
    let r = item / params.inputs;
    var sum = 0.0;
    if (params.first > 0u) { sum = grad_x[item]; }
    for (var o = params.first; o < params.end; o++) {
        sum += grad_y[r * params.outputs + o] * w[o * params.inputs + i];
    }
    grad_x[item] = sum;
}

// The thread of input 0 sums the bias too.
@compute @workgroup_size(64)
fn backward_weight(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.outputs * params.inputs) { return; }
    let i = item % params.inputs;
    let o = item / params.inputs;
    var sum = 0.0;
    var bias_sum = 0.0;
    if (params.first > 0u) {
        sum = grad_w[item];
        if (i == 0u) { bias_sum = grad_bias[o]; }
    }
    for (var r = params.first; r < params.end; r++) {
        let g = grad_y[r * params.outputs + o];
        sum += g * x[r * params.inputs + i];
        bias_sum += g;
    }
    grad_w[item] = sum;
    if (i == 0u) { grad_bias[o] = select(bias_sum, 0.0, BIAS_CANCELS); }
}
