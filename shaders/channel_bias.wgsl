// channel_bias: y[b,c,p] += bias[c], and the way back: grad_bias[c] = sum of grad_y over b and p.

struct Params {
    batch: u32,
    channels: u32,
    pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> grad_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_bias: array<f32>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i >= params.batch * params.channels * params.pixels) { return; }
    y[i] += bias[i / params.pixels % params.channels];
}

// A workgroup a channel.
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let c = linear_group(group, groups);
    if (c >= params.channels) { return; }
    var sum = 0.0;
    for (var i = local; i < params.batch * params.pixels; i += 256u) {
        sum += grad_y[(i / params.pixels * params.channels + c) * params.pixels + i % params.pixels];
    }
    let total = workgroup_sum(local, sum);
    if (local == 0u) { grad_bias[c] = total; }
}
