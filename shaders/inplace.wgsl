// inplace: an SGD step of the codebook inside the forward pass.

struct Params {
    count: u32,                 // K F
    lr: f32,
    momentum: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> codebook: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(4) var<storage, read_write> moved: array<f32>;
@group(0) @binding(5) var<storage, read> moved_in: array<f32>;
@group(0) @binding(6) var<storage, read_write> target_codebook: array<f32>;

// v = momentum v + g,  moved = C - lr v.  C itself is moved by `commit`, once no gradient needs it.
@compute @workgroup_size(64)
fn advance(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.count) { return; }
    let v = params.momentum * velocity[i] + grad[i];
    velocity[i] = v;
    moved[i] = codebook[i] - params.lr * v;
}

@compute @workgroup_size(64)
fn commit(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i < params.count) { target_codebook[i] = moved_in[i]; }
}
