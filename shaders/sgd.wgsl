// sgd: v = momentum * v + g;  p -= lr * v;  one dispatch over the whole arena, or one for each stretch of parameters
// that has a rate of its own.

struct Params {
    first: u32,                 // where the stretch begins
    count: u32,
    rate: f32,                  // factor of the learning rate
    momentum: f32,
    weight_decay: f32,
}

struct Step {
    lr: f32,                    // learning rate
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read> scale: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;

fn update(i: u32, g: f32) {
    let velocity = params.momentum * v[i] + g + params.weight_decay * p[i];
    v[i] = velocity;
    p[i] -= step.lr * params.rate * velocity;
}

@compute @workgroup_size(256)
fn sgd(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_group(group, groups) * 256u + local;
    if (at >= params.count) { return; }
    let i = params.first + at;
    update(i, grad[i]);
}

// With gradients that are clipped.
@compute @workgroup_size(256)
fn clipped(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_group(group, groups) * 256u + local;
    if (at >= params.count) { return; }
    let i = params.first + at;
    update(i, scale[0] * grad[i]);
}
