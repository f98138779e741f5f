// adamw: one dispatch over the whole arena (Loshchilov and Hutter 2019, as in PyTorch), or one for each stretch of
// parameters that has a rate of its own.

struct Params {
    first: u32,                 // where the stretch begins
    count: u32,
    rate: f32,                  // factor of the learning rate
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
}

struct Step {
    lr: f32,                    // learning rate
    bias1: f32,                 // 1 - beta1^t
    bias2_sqrt: f32,            // sqrt(1 - beta2^t)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read> scale: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;

fn update(i: u32, g: f32) {
    let lr = step.lr * params.rate;
    let first = params.beta1 * m[i] + (1.0 - params.beta1) * g;
    let second = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
    m[i] = first;
    v[i] = second;
    let decayed = p[i] * (1.0 - lr * params.weight_decay);
    p[i] = decayed - lr / step.bias1 * first / (sqrt(second) / step.bias2_sqrt + params.eps);
}

@compute @workgroup_size(256)
fn adamw(
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
