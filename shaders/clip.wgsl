// clip: the norm of all gradients, and the factor that keeps it at most max_norm (torch.nn.utils.clip_grad_norm_).

struct Params {
    count: u32,
    parts: u32,
    max_norm: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
@group(0) @binding(3) var<storage, read> sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> norm: array<f32>;
@group(0) @binding(5) var<storage, read_write> scale: array<f32>;

@compute @workgroup_size(256)
fn squares(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let part = linear_group(group, groups);
    var sum = 0.0;
    for (var i = part * 256u + local; i < params.count; i += params.parts * 256u) { sum += grad[i] * grad[i]; }
    let total = workgroup_sum(local, sum);
    if (local == 0u && part < params.parts) { parts[part] = total; }
}

@compute @workgroup_size(256)
fn factor(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < params.parts; i += 256u) { sum += sums[i]; }
    let total = sqrt(workgroup_sum(local, sum));
    if (local == 0u) {
        norm[0] = total;
        scale[0] = keep_nan(total, min(1.0, params.max_norm / (total + 1e-6)));
    }
}
