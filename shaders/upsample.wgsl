// upsample (nearest): y[b,c,i,j] = x[b,c, i/F, j/F];  grad_x = sum of grad_y over the F by F copies.

struct Params {
    count: u32,                 // elements of x
    width: u32,                 // of x
    factor: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> grad_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_x: array<f32>;

// First copy in y of element `item` of x; rows of y are `factor` times as long.
fn first_copy(item: u32) -> u32 {
    let row = item / params.width;
    let column = item % params.width;
    return (row * params.width * params.factor + column) * params.factor;
}

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.count) { return; }
    let value = x[item];
    let first = first_copy(item);
    for (var u = 0u; u < params.factor; u++) {
        for (var v = 0u; v < params.factor; v++) {
            y[first + u * params.width * params.factor + v] = value;
        }
    }
}

@compute @workgroup_size(64)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.count) { return; }
    let first = first_copy(item);
    var sum = 0.0;
    for (var u = 0u; u < params.factor; u++) {
        for (var v = 0u; v < params.factor; v++) {
            sum += grad_y[first + u * params.width * params.factor + v];
        }
    }
    grad_x[item] = sum;
}
