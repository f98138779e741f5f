// sgd: v = momentum * v + g;  p -= lr * v;  one dispatch over the whole arena.

struct Params {
    count: u32,
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
@group(0) @binding(15) var<uniform> step: Step;

@compute @workgroup_size(256)
fn sgd(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i >= params.count) { return; }
    let velocity = params.momentum * v[i] + grad[i] + params.weight_decay * p[i];
    v[i] = velocity;
    p[i] -= step.lr * velocity;
}
