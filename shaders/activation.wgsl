// activation: y = f(x) element by element; grad_x = f'(x) * grad_y.

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> grad_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_x: array<f32>;
// The same four by vectors, for lengths that four divides.
@group(0) @binding(5) var<storage, read> x4: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y4: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> grad_y4: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> grad_x4: array<vec4<f32>>;

const GELU: u32 = 0u;
const ELU: u32 = 1u;
const RELU: u32 = 2u;
const SIGMOID: u32 = 3u;
const CLAMP: u32 = 4u;

override KIND: u32 = GELU;

// The error function to float32 accuracy: x * P(x^2) below 1, 1 - exp(-Q(x)) above, Chebyshev
// fits of degree 6 and 8; at 4 it is 1 within half an ulp.
fn erf(x: f32) -> f32 {
    let a = min(abs(x), 4.0);
    if (a < 1.0) {
        let s = x * x;
        var p = 7.875875e-5;
        p = p * s - 8.0168643e-4;
        p = p * s + 5.1890874e-3;
        p = p * s - 2.6854212e-2;
        p = p * s + 1.1283595e-1;
        p = p * s - 3.7612627e-1;
        p = p * s + 1.1283792;
        return x * p;
    }
    let t = a - 2.4;
    var q = -1.6371514e-6;
    q = q * t + 1.4624736e-5;
    q = q * t - 8.707029e-5;
    q = q * t + 4.693852e-4;
    q = q * t - 2.387436e-3;
    q = q * t + 1.1768269e-2;
    q = q * t + 9.405019e-1;
    q = q * t + 5.1642366;
    q = q * t + 7.280975;
    return sign(x) * (1.0 - exp(-q));
}

const SQRT_HALF: f32 = 0.70710678;
const INV_SQRT_TAU: f32 = 0.39894228;

// NaN stays NaN, whatever the compiler makes of comparisons and exp.
fn value(v: f32) -> f32 {
    return keep_nan(v, value_of_number(v));
}

fn value_of_number(v: f32) -> f32 {
    switch (KIND) {
        case GELU: { return 0.5 * v * (1.0 + erf(v * SQRT_HALF)); }
        case ELU: { return select(exp(min(v, 0.0)) - 1.0, v, v > 0.0); }
        case RELU: { return max(v, 0.0); }
        case SIGMOID: { return 1.0 / (1.0 + exp(-v)); }
        default: { return clamp(v, -1.0, 1.0); }
    }
}

// At NaN as PyTorch has it: ELU and ReLU pass the gradient on, clamp stops it, the others make NaN.
fn slope(v: f32) -> f32 {
    var at_nan = v;
    if (KIND == ELU || KIND == RELU) { at_nan = 1.0; }
    if (KIND == CLAMP) { at_nan = 0.0; }
    return select(slope_of_number(v), at_nan, is_nan(v));
}

fn slope_of_number(v: f32) -> f32 {
    switch (KIND) {
        case GELU: { return 0.5 * (1.0 + erf(v * SQRT_HALF)) + v * INV_SQRT_TAU * exp(-0.5 * v * v); }
        case ELU: { return select(exp(min(v, 0.0)), 1.0, v > 0.0); }
        case RELU: { return select(0.0, 1.0, v > 0.0); }
        case SIGMOID: { let s = 1.0 / (1.0 + exp(-v)); return s * (1.0 - s); }
        default: { return select(0.0, 1.0, v >= -1.0 && v <= 1.0); }
    }
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i < params.count) { y[i] = value(x[i]); }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i < params.count) { grad_x[i] = slope(x[i]) * grad_y[i]; }
}

@compute @workgroup_size(64)
fn forward4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (4u * i >= params.count) { return; }
    let v = x4[i];
    y4[i] = vec4(value(v.x), value(v.y), value(v.z), value(v.w));
}

@compute @workgroup_size(64)
fn backward4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (4u * i >= params.count) { return; }
    let v = x4[i];
    grad_x4[i] = vec4(slope(v.x), slope(v.y), slope(v.z), slope(v.w)) * grad_y4[i];
}
