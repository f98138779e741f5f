// max_pool2d: y[b,c,i,j] = max over the K by K window at (i*S, j*S); `argmax` keeps where it was,
// the first one on a tie, NaN before all numbers. Backward: a pixel takes grad_y of each window whose maximum it is.

// Shapes are constants of the pipeline: the kernels are little more than index arithmetic.
override IN_HEIGHT: u32 = 1u;
override IN_WIDTH: u32 = 1u;
override OUT_HEIGHT: u32 = 1u;
override OUT_WIDTH: u32 = 1u;
override WINDOW: u32 = 2u;
override STRIDE: u32 = 2u;

struct Params {
    planes: u32,                // batch * channels
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
    if (item >= params.planes * OUT_HEIGHT * OUT_WIDTH) { return; }
    let j = item % OUT_WIDTH;
    let i = (item / OUT_WIDTH) % OUT_HEIGHT;
    let plane = item / (OUT_WIDTH * OUT_HEIGHT);
    var at = (plane * IN_HEIGHT + i * STRIDE) * IN_WIDTH + j * STRIDE;
    let corner = at;
    var best = x[at];
    for (var u = 0u; u < WINDOW; u++) {
        for (var v = 0u; v < WINDOW; v++) {
            let index = corner + u * IN_WIDTH + v;
            let candidate = x[index];
            // As PyTorch: a NaN is the maximum, the last one where there are several.
            if (is_nan(candidate) || (candidate > best && !is_nan(best))) {
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
    let columns = (IN_WIDTH + WINDOW - 1u) / WINDOW;
    let rows = (IN_HEIGHT + WINDOW - 1u) / WINDOW;
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.planes * rows * columns) { return; }
    let j = item % columns;
    let i = (item / columns) % rows;
    let plane = item / (columns * rows);
    var hit = 0xffffffffu;
    var g = 0.0;
    if (i < OUT_HEIGHT && j < OUT_WIDTH) {
        let at = (plane * OUT_HEIGHT + i) * OUT_WIDTH + j;
        hit = argmax_in[at];
        g = grad_y[at];
    }
    for (var u = i * WINDOW; u < min((i + 1u) * WINDOW, IN_HEIGHT); u++) {
        for (var v = j * WINDOW; v < min((j + 1u) * WINDOW, IN_WIDTH); v++) {
            let pixel = (plane * IN_HEIGHT + u) * IN_WIDTH + v;
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
    if (item >= params.planes * IN_HEIGHT * IN_WIDTH) { return; }
    let l = item % IN_WIDTH;
    let h = (item / IN_WIDTH) % IN_HEIGHT;
    let plane = item / (IN_WIDTH * IN_HEIGHT);
    // Windows i with i*S <= h < i*S + K.
    let reach = WINDOW - 1u;
    let first_i = (max(h, reach) - reach + STRIDE - 1u) / STRIDE;
    let first_j = (max(l, reach) - reach + STRIDE - 1u) / STRIDE;
    let last_i = min(h / STRIDE + 1u, OUT_HEIGHT);
    let last_j = min(l / STRIDE + 1u, OUT_WIDTH);
    var sum = 0.0;
    for (var i = first_i; i < last_i; i++) {
        for (var j = first_j; j < last_j; j++) {
            let at = (plane * OUT_HEIGHT + i) * OUT_WIDTH + j;
            if (argmax_in[at] == item) { sum += grad_y[at]; }
        }
    }
    grad_x[item] = sum;
}
