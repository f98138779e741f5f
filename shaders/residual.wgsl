// residual quantisation: what a layer leaves to the next one, and the vectors of all layers in one tensor.
//
//   rest = z - z_q        all[first + i] = part[i], bit by bit, so that codes can be put there too

struct Params {
    count: u32,
    first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> z_q: array<f32>;
@group(0) @binding(3) var<storage, read_write> rest: array<f32>;
@group(0) @binding(4) var<storage, read> part: array<u32>;
@group(0) @binding(5) var<storage, read_write> all: array<u32>;

@compute @workgroup_size(256)
fn leave(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i < params.count) { rest[i] = z[i] - z_q[i]; }
}

@compute @workgroup_size(256)
fn put(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i < params.count) { all[params.first + i] = part[i]; }
}
