// adamw: one dispatch over the whole arena (Loshchilov and Hutter 2019, as in PyTorch).

struct Params {
    count: u32,
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
@group(0) @binding(15) var<uniform> step: Step;

@compute @workgroup_size(256)
fn adamw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i >= params.count) { return; }
    let g = grad[i];
    let first = params.beta1 * m[i] + (1.0 - params.beta1) * g;
    let second = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
    m[i] = first;
    v[i] = second;
    let decayed = p[i] * (1.0 - step.lr * params.weight_decay);
    p[i] = decayed - step.lr / step.bias1 * first / (sqrt(second) / step.bias2_sqrt + params.eps);
}
