// upsample (nearest): y[b,c,i,j] = x[b,c, i/F, j/F];  grad_x = sum of grad_y over the F by F copies.

override WIDTH: u32 = 1u;       // of x
override FACTOR: u32 = 2u;

struct Params {
    count: u32,                 // elements of x
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> grad_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_x: array<f32>;

// First copy in y of element `item` of x; rows of y are `factor` times as long.
fn first_copy(item: u32) -> u32 {
    let row = item / WIDTH;
    let column = item % WIDTH;
    return (row * WIDTH * FACTOR + column) * FACTOR;
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
    for (var u = 0u; u < FACTOR; u++) {
        for (var v = 0u; v < FACTOR; v++) {
            y[first + u * WIDTH * FACTOR + v] = value;
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
    for (var u = 0u; u < FACTOR; u++) {
        for (var v = 0u; v < FACTOR; v++) {
            sum += grad_y[first + u * WIDTH * FACTOR + v];
        }
    }
    grad_x[item] = sum;
}
