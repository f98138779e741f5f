// max_pool2d: y[b,c,i,j] = max over the K by K window at (i*S, j*S); `argmax` keeps where it was,
// the first one on a tie. Backward: a pixel takes grad_y of each window whose maximum it is.

struct Params {
    planes: u32,                // batch * channels
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    window: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> argmax: array<u32>;
@group(0) @binding(4) var<storage, read> argmax_in: array<u32>;
@group(0) @binding(5) var<storage, read> grad_y: array<f32>;
@group(0) @binding(6) var<storage, read_write> grad_x: array<f32>;

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.planes * params.out_height * params.out_width) { return; }
    let j = item % params.out_width;
    let i = (item / params.out_width) % params.out_height;
    let plane = item / (params.out_width * params.out_height);
    var at = (plane * params.in_height + i * params.stride) * params.in_width + j * params.stride;
    let corner = at;
    var best = x[at];
    for (var u = 0u; u < params.window; u++) {
        for (var v = 0u; v < params.window; v++) {
            let index = corner + u * params.in_width + v;
            let candidate = x[index];
            if (candidate > best) {
                best = candidate;
                at = index;
            }
        }
    }
    y[item] = best;
    argmax[item] = at;
}

// Windows that do not overlap (stride = window), a thread a window: each pixel lies in one window,
// or in none where the border leaves a rest.
@compute @workgroup_size(64)
fn backward_disjoint(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let columns = (params.in_width + params.window - 1u) / params.window;
    let rows = (params.in_height + params.window - 1u) / params.window;
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.planes * rows * columns) { return; }
    let j = item % columns;
    let i = (item / columns) % rows;
    let plane = item / (columns * rows);
    var hit = 0xffffffffu;
    var g = 0.0;
    if (i < params.out_height && j < params.out_width) {
        let at = (plane * params.out_height + i) * params.out_width + j;
        hit = argmax_in[at];
        g = grad_y[at];
    }
    for (var u = i * params.window; u < min((i + 1u) * params.window, params.in_height); u++) {
        for (var v = j * params.window; v < min((j + 1u) * params.window, params.in_width); v++) {
            let pixel = (plane * params.in_height + u) * params.in_width + v;
            grad_x[pixel] = select(0.0, g, pixel == hit);
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
    if (item >= params.planes * params.in_height * params.in_width) { return; }
    let l = item % params.in_width;
    let h = (item / params.in_width) % params.in_height;
    let plane = item / (params.in_width * params.in_height);
    // Windows i with i*S <= h < i*S + K.
    let reach = params.window - 1u;
    let first_i = (max(h, reach) - reach + params.stride - 1u) / params.stride;
    let first_j = (max(l, reach) - reach + params.stride - 1u) / params.stride;
    let last_i = min(h / params.stride + 1u, params.out_height);
    let last_j = min(l / params.stride + 1u, params.out_width);
    var sum = 0.0;
    for (var i = first_i; i < last_i; i++) {
        for (var j = first_j; j < last_j; j++) {
            let at = (plane * params.out_height + i) * params.out_width + j;
            if (argmax_in[at] == item) { sum += grad_y[at]; }
        }
    }
    grad_x[item] = sum;
}
