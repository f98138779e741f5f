// norm: the length of vectors, of z in its own layout or of the rows of a codebook.
//
//   unit     y = x / max(|x|, eps)
//   limited  y = x min(|x|, MAX) / (|x| + eps), the clamped length held constant on the way back

override LIMITED: bool = false;

const MAX: f32 = 10.0;

struct Params {
    count: u32,                 // N
    features: u32,              // F
    positions: u32,             // x is [B, F, positions], n = b * positions + s
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> grad_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_x: array<f32>;

fn factor(length: f32) -> f32 {
    if (LIMITED) { return keep_nan(length, min(length, MAX) / (length + params.eps)); }
    return keep_nan(length, 1.0 / max(length, params.eps));
}

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    var squares = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let value = x[element(n, f)];
        squares += value * value;
    }
    let scale = factor(sqrt(squares));
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        y[at] = scale * x[at];
    }
}

@compute @workgroup_size(64)
fn in_place(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    var squares = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let value = y[element(n, f)];
        squares += value * value;
    }
    let scale = factor(sqrt(squares));
    for (var f = 0u; f < params.features; f++) { y[element(n, f)] *= scale; }
}

//   unit     grad_x = (grad_y - y (y . grad_y)) / |x|;  below eps  grad_y / eps
//   limited  grad_x = m / (|x| + eps) (grad_y - x (x . grad_y) / (|x| (|x| + eps))),  m = min(|x|, MAX)
@compute @workgroup_size(64)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    var squares = 0.0;
    var dot = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        squares += x[at] * x[at];
        dot += x[at] * grad_y[at];
    }
    let length = sqrt(squares);
    var along = 0.0;
    if (LIMITED) {
        if (length > 0.0) { along = dot / (length * (length + params.eps)); }
    } else if (length > params.eps) {
        along = dot / squares;
    }
    let scale = factor(length);
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        grad_x[at] = scale * (grad_y[at] - along * x[at]);
    }
}
