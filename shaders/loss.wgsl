// loss: mean of |y - target| or (y - target)^2; grad_y = scale * sign or 2 * (y - target). The sign of NaN is 0,
// as in PyTorch.

override SQUARED: bool = false;

struct Params {
    count: u32,
    parts: u32,
    scale: f32,                 // backward: weight / count
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> goal: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_y: array<f32>;

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
