// fsq: finite scalar quantisation. Each of D channels is bounded and rounded to L values; the code of
// a vector is the number whose digits they are.
//
//   h = (L - 1)(1 + 1e-3) / 2,  o = 1/2 for even L, else 0,  s = atanh(o / h)
//   b = tanh(z + s) h - o,   y = round(b) / (L / 2),   q = sum (round(b) + L / 2) basis
//   grad_z = grad_y (1 - tanh^2(z + s)) h / (L / 2)

struct Params {
    count: u32,                 // N
    features: u32,              // D
    positions: u32,             // z is [B, D, positions], n = b * positions + s
    level0: u32,
    level1: u32,
    level2: u32,
    level3: u32,
    level4: u32,
    level5: u32,
    level6: u32,
    level7: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> q: array<u32>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;
@group(0) @binding(5) var<storage, read_write> squares: array<f32>;
@group(0) @binding(6) var<storage, read> grad_y: array<f32>;
@group(0) @binding(7) var<storage, read_write> grad_z: array<f32>;
@group(0) @binding(8) var<storage, read> codes: array<u32>;

fn level(f: u32) -> u32 {
    switch f {
        case 0u: { return params.level0; }
        case 1u: { return params.level1; }
        case 2u: { return params.level2; }
        case 3u: { return params.level3; }
        case 4u: { return params.level4; }
        case 5u: { return params.level5; }
        case 6u: { return params.level6; }
        default: { return params.level7; }
    }
}

struct Bound {
    height: f32,
    offset: f32,
    slope: f32,                 // 1 - tanh^2
    value: f32,
}

fn bound(value: f32, levels: u32) -> Bound {
    let height = f32(levels - 1u) * 1.001 / 2.0;
    let offset = select(0.0, 0.5, levels % 2u == 0u);
    // Beyond 15 the tanh of f32 is 1, and some implementations overflow.
    let t = keep_nan(value, tanh(clamp(value + atanh(offset / height), -15.0, 15.0)));
    return Bound(height, offset, 1.0 - t * t, t * height - offset);
}

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    var basis = 1u;
    var code = 0u;
    var distance = 0.0;
    var all = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let levels = level(f);
        let b = bound(z[at], levels);
        let half_width = levels / 2u;
        let rounded = round(b.value);
        let e = (b.value - rounded) / f32(half_width);
        y[at] = rounded / f32(half_width);
        code += u32(clamp(i32(rounded) + i32(half_width), 0, i32(levels) - 1)) * basis;
        basis *= levels;
        distance += e * e;
        all += z[at] * z[at];
    }
    q[n] = code;
    d[n] = sqrt(distance);
    squares[n] = all;
}

@compute @workgroup_size(64)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let levels = level(f);
        let b = bound(z[at], levels);
        grad_z[at] = grad_y[at] * b.slope * b.height / f32(levels / 2u);
    }
}

// What the codes stand for, without z.
@compute @workgroup_size(64)
fn decode(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    var rest = codes[n];
    for (var f = 0u; f < params.features; f++) {
        let levels = level(f);
        let half_width = i32(levels / 2u);
        y[element(n, f)] = f32(i32(rest % levels) - half_width) / f32(half_width);
        rest /= levels;
    }
}
