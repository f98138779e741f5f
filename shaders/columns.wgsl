// columns: sums[k, f] = the sum over the chunks of partial[chunk, k, f], see lib/columns.wgsl.

struct Params {
    chunks: u32,
    size: u32,                  // K F
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn join(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.size) { return; }
    var sum = 0.0;
    for (var chunk = 0u; chunk < params.chunks; chunk++) { sum += partial[chunk * params.size + item]; }
    sums[item] = sum;
}
