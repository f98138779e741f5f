// linear: y[r,o] = bias[o] + sum_i x[r,i] w[o,i]

// What follows takes no notice of the bias (a training batch norm subtracts it again): its
// gradient is zero, and summing up would leave rounding noise that AdamW blows up to full steps.
override BIAS_CANCELS: bool = false;
override HAS_BIAS: bool = true;

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    first: u32,                 // what is summed over in this dispatch: from here
    end: u32,                   // up to here
    a_item: u32,                // of `multiply`: how far the items of its factors lie apart,
    a_term: u32,
    b_item: u32,
    b_term: u32,                // and the terms of its sum
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> grad_y: array<f32>;
@group(0) @binding(6) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(7) var<storage, read_write> grad_w: array<f32>;
@group(0) @binding(8) var<storage, read_write> grad_bias: array<f32>;

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.rows * params.outputs) { return; }
    let o = item % params.outputs;
    let r = item / params.outputs;
    var sum = 0.0;
    if (params.first > 0u) { sum = y[item]; } else if (HAS_BIAS) { sum = bias[o]; }
    for (var i = params.first; i < params.end; i++) {
        sum += x[r * params.inputs + i] * w[o * params.inputs + i];
    }
    y[item] = sum;
}

@compute @workgroup_size(64)
fn backward_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.rows * params.inputs) { return; }
    let i = item % params.inputs;
    let r = item / params.inputs;
    var sum = 0.0;
    if (params.first > 0u) { sum = grad_x[item]; }
    for (var o = params.first; o < params.end; o++) {
        sum += grad_y[r * params.outputs + o] * w[o * params.inputs + i];
    }
    grad_x[item] = sum;
}

// The thread of input 0 sums the bias too.
@compute @workgroup_size(64)
fn backward_weight(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.outputs * params.inputs) { return; }
    let i = item % params.inputs;
    let o = item / params.inputs;
    var sum = 0.0;
    var bias_sum = 0.0;
    if (params.first > 0u) {
        sum = grad_w[item];
        if (i == 0u) { bias_sum = grad_bias[o]; }
    }
    for (var r = params.first; r < params.end; r++) {
        let g = grad_y[r * params.outputs + o];
        sum += g * x[r * params.inputs + i];
        bias_sum += g;
    }
    grad_w[item] = sum;
    if (i == 0u) { grad_bias[o] = select(bias_sum, 0.0, BIAS_CANCELS); }
}

// ------------------------------------------------------------------------------- on a processor
// c[m,n] = bias[n] + sum_t a[m,t] b[n,t]: all three products, for adapters where a load costs as much as
// many multiply-adds. A thread holds sixteen by sixteen items (with more, drivers take long to compile it); those beyond the last repeat it and are not
// stored. `rows` and `outputs` are the numbers of m and n.

@group(0) @binding(9) var<storage, read> a: array<f32>;
@group(0) @binding(10) var<storage, read> b: array<f32>;
@group(0) @binding(11) var<storage, read_write> c: array<f32>;

const TILE: u32 = 16u;

// Sixteen neighbours of a row.
struct Row { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn multiply_add(sum: Row, value: f32, by: Row) -> Row {
    let v = vec4(value);
    return Row(fma(v, by.a, sum.a), fma(v, by.b, sum.b), fma(v, by.c, sum.c), fma(v, by.d, sum.d));
}

// What the sums of row m go on from, columns n.. n+3.
fn begin4(m: u32, n: u32) -> vec4<f32> {
    let last = params.outputs - 1u;
    let at = vec4(min(n, last), min(n + 1u, last), min(n + 2u, last), min(n + 3u, last));
    if (params.first > 0u) {
        let row = min(m, params.rows - 1u) * params.outputs;
        return vec4(c[row + at.x], c[row + at.y], c[row + at.z], c[row + at.w]);
    }
    if (HAS_BIAS) { return vec4(bias[at.x], bias[at.y], bias[at.z], bias[at.w]); }
    return vec4(0.0);
}

fn begin(m: u32, n: u32) -> Row {
    return Row(begin4(m, n), begin4(m, n + 4u), begin4(m, n + 8u), begin4(m, n + 12u));
}

fn store4(m: u32, n: u32, sum: vec4<f32>) {
    if (m >= params.rows || n >= params.outputs) { return; }
    let at = m * params.outputs + n;
    c[at] = sum.x;
    if (n + 1u < params.outputs) { c[at + 1u] = sum.y; }
    if (n + 2u < params.outputs) { c[at + 2u] = sum.z; }
    if (n + 3u < params.outputs) { c[at + 3u] = sum.w; }
}

fn store(m: u32, n: u32, sum: Row) {
    store4(m, n, sum.a);
    store4(m, n + 4u, sum.b);
    store4(m, n + 8u, sum.c);
    store4(m, n + 12u, sum.d);
}

// Where item i of a factor begins.
fn a_at(i: u32) -> u32 { return min(i, params.rows - 1u) * params.a_item; }
fn b_at(i: u32) -> u32 { return min(i, params.outputs - 1u) * params.b_item; }

@compute @workgroup_size(16)
fn multiply(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 16u + local;
    let across = (params.rows + TILE - 1u) / TILE;
    let m = item % across * TILE;
    let n = item / across * TILE;
    if (n >= params.outputs) { return; }
    let a0 = a_at(m + 0u);
    let a1 = a_at(m + 1u);
    let a2 = a_at(m + 2u);
    let a3 = a_at(m + 3u);
    let a4 = a_at(m + 4u);
    let a5 = a_at(m + 5u);
    let a6 = a_at(m + 6u);
    let a7 = a_at(m + 7u);
    let a8 = a_at(m + 8u);
    let a9 = a_at(m + 9u);
    let a10 = a_at(m + 10u);
    let a11 = a_at(m + 11u);
    let a12 = a_at(m + 12u);
    let a13 = a_at(m + 13u);
    let a14 = a_at(m + 14u);
    let a15 = a_at(m + 15u);
    let b0 = b_at(n + 0u);
    let b1 = b_at(n + 1u);
    let b2 = b_at(n + 2u);
    let b3 = b_at(n + 3u);
    let b4 = b_at(n + 4u);
    let b5 = b_at(n + 5u);
    let b6 = b_at(n + 6u);
    let b7 = b_at(n + 7u);
    let b8 = b_at(n + 8u);
    let b9 = b_at(n + 9u);
    let b10 = b_at(n + 10u);
    let b11 = b_at(n + 11u);
    let b12 = b_at(n + 12u);
    let b13 = b_at(n + 13u);
    let b14 = b_at(n + 14u);
    let b15 = b_at(n + 15u);
    var s0 = begin(m + 0u, n);
    var s1 = begin(m + 1u, n);
    var s2 = begin(m + 2u, n);
    var s3 = begin(m + 3u, n);
    var s4 = begin(m + 4u, n);
    var s5 = begin(m + 5u, n);
    var s6 = begin(m + 6u, n);
    var s7 = begin(m + 7u, n);
    var s8 = begin(m + 8u, n);
    var s9 = begin(m + 9u, n);
    var s10 = begin(m + 10u, n);
    var s11 = begin(m + 11u, n);
    var s12 = begin(m + 12u, n);
    var s13 = begin(m + 13u, n);
    var s14 = begin(m + 14u, n);
    var s15 = begin(m + 15u, n);
    for (var t = params.first; t < params.end; t++) {
        let at = t * params.a_term;
        let bt = t * params.b_term;
        let by = Row(
            vec4(b[b0 + bt], b[b1 + bt], b[b2 + bt], b[b3 + bt]),
            vec4(b[b4 + bt], b[b5 + bt], b[b6 + bt], b[b7 + bt]),
            vec4(b[b8 + bt], b[b9 + bt], b[b10 + bt], b[b11 + bt]),
            vec4(b[b12 + bt], b[b13 + bt], b[b14 + bt], b[b15 + bt]),
        );
        s0 = multiply_add(s0, a[a0 + at], by);
        s1 = multiply_add(s1, a[a1 + at], by);
        s2 = multiply_add(s2, a[a2 + at], by);
        s3 = multiply_add(s3, a[a3 + at], by);
        s4 = multiply_add(s4, a[a4 + at], by);
        s5 = multiply_add(s5, a[a5 + at], by);
        s6 = multiply_add(s6, a[a6 + at], by);
        s7 = multiply_add(s7, a[a7 + at], by);
        s8 = multiply_add(s8, a[a8 + at], by);
        s9 = multiply_add(s9, a[a9 + at], by);
        s10 = multiply_add(s10, a[a10 + at], by);
        s11 = multiply_add(s11, a[a11 + at], by);
        s12 = multiply_add(s12, a[a12 + at], by);
        s13 = multiply_add(s13, a[a13 + at], by);
        s14 = multiply_add(s14, a[a14 + at], by);
        s15 = multiply_add(s15, a[a15 + at], by);
    }
    store(m + 0u, n, s0);
    store(m + 1u, n, s1);
    store(m + 2u, n, s2);
    store(m + 3u, n, s3);
    store(m + 4u, n, s4);
    store(m + 5u, n, s5);
    store(m + 6u, n, s6);
    store(m + 7u, n, s7);
    store(m + 8u, n, s8);
    store(m + 9u, n, s9);
    store(m + 10u, n, s10);
    store(m + 11u, n, s11);
    store(m + 12u, n, s12);
    store(m + 13u, n, s13);
    store(m + 14u, n, s14);
    store(m + 15u, n, s15);
}

// Beside `multiply`: grad_bias[o] = sum_r grad_y[r,o]
@compute @workgroup_size(64)
fn backward_bias(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let o = linear_group(group, groups) * 64u + local;
    if (o >= params.outputs) { return; }
    var sum = 0.0;
    if (params.first > 0u) { sum = grad_bias[o]; }
    if (!BIAS_CANCELS) {
        for (var r = params.first; r < params.end; r++) { sum += grad_y[r * params.outputs + o]; }
    }
    grad_bias[o] = sum;
}
