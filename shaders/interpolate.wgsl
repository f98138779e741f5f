// interpolate: y[b] on the line from x[0] to x[B - 1], at b / (B - 1) of the way.

struct Params {
    size: u32,                  // numbers of an item
    count: u32,                 // B
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn interpolate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.count * params.size) { return; }
    let b = item / params.size;
    let at = item % params.size;
    let last = params.count - 1u;
    // Both ends exactly.
    let share = f32(b) / f32(last);
    y[item] = x[at] * (1.0 - share) + x[last * params.size + at] * share;
}
