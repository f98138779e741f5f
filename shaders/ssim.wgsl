// ssim: the structural similarity of two images (Wang et al. 2004) at each place where a Gaussian window of 11 x 11
// fits, summed by workgroup. Variances are sums of squared differences from the window's mean, so that nothing cancels.

const WINDOW: u32 = 11u;

struct Params {
    count: u32,                 // places in all images
    parts: u32,
    height: u32,
    width: u32,
    c1: f32,
    c2: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

var<workgroup> weights: array<f32, 11>;

// Of place `at`, counted through images, rows and columns.
fn similarity(at: u32) -> f32 {
    let columns = params.width - WINDOW + 1u;
    let rows = params.height - WINDOW + 1u;
    let image = at / (rows * columns);
    let row = at / columns % rows;
    let first = (image * params.height + row) * params.width + at % columns;
    var mean_x = 0.0;
    var mean_y = 0.0;
    for (var i = 0u; i < WINDOW; i++) {
        for (var j = 0u; j < WINDOW; j++) {
            let w = weights[i] * weights[j];
            mean_x += w * x[first + i * params.width + j];
            mean_y += w * y[first + i * params.width + j];
        }
    }
    var var_x = 0.0;
    var var_y = 0.0;
    var both = 0.0;
    for (var i = 0u; i < WINDOW; i++) {
        for (var j = 0u; j < WINDOW; j++) {
            let w = weights[i] * weights[j];
            let dx = x[first + i * params.width + j] - mean_x;
            let dy = y[first + i * params.width + j] - mean_y;
            var_x += w * dx * dx;
            var_y += w * dy * dy;
            both += w * dx * dy;
        }
    }
    let above = (2.0 * mean_x * mean_y + params.c1) * (2.0 * both + params.c2);
    let below = (mean_x * mean_x + mean_y * mean_y + params.c1) * (var_x + var_y + params.c2);
    return above / below;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    if (local == 0u) {
        // exp(-d^2 / (2 * 1.5^2)), and their sum.
        var sum = 0.0;
        for (var i = 0u; i < WINDOW; i++) {
            let d = f32(i) - 5.0;
            weights[i] = exp(-d * d / 4.5);
            sum += weights[i];
        }
        for (var i = 0u; i < WINDOW; i++) { weights[i] /= sum; }
    }
    workgroupBarrier();
    let part = linear_group(group, groups);
    let at = part * 256u + local;
    var value = 0.0;
    if (at < params.count) { value = similarity(at); }
    let total = workgroup_sum(local, value);
    if (local == 0u && part < params.parts) { parts[part] = total; }
}
