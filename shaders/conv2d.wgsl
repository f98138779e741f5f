// conv2d: y[b,o,i,j] = bias[o] + sum_{c,u,v} w[o,c,u,v] * x[b,c, i*S+u-P, j*S+v-P]
//
// The forward entry points also run backward to the input where the stride is 1: that is the
// convolution of the gradient with the flipped kernel, channels exchanged (w_out, w_in and flip
// say so). A thread computes a tile of pixels for up to eight output channels; the weights of a
// workgroup stand in its memory, eight channels of a tap side by side.
//
// Upsampling by two in front of the convolution needs no tensor of its own: forward reads the small
// image (UP = 2), backward to the input adds up two by two pixels before it stores them (DOWN).

override DOWN: bool = false;

@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> grad_y: array<f32>;
@group(0) @binding(6) var<storage, read_write> grad_x: array<f32>;

// ------------------------------------------------------------------------------------- forward

// Taps of eight channels that a workgroup holds at once. Few: a driver may set workgroup memory to
// zero with a store an element and thread.
const TAPS: u32 = 9u;
var<workgroup> weights: array<vec4<f32>, 18>;

// Tap t counts input channels and kernel positions: t = c * K*K + u * K + v.
fn weight_at(o: u32, t: u32) -> f32 {
    let inside = o < params.out_channels;
    var tap = t % (K * K);
    tap = select(tap, K * K - 1u - tap, params.flip != 0u);
    let index = o * params.w_out + (t / (K * K)) * params.w_in + tap;
    return select(0.0, w[select(0u, index, inside)], inside);
}

// Brings taps first.. of output channels o.. o+7 into workgroup memory; returns their number.
fn load_weights(o: u32, first: u32, local: u32) -> u32 {
    let taps = min(TAPS, params.in_channels * K * K - first);
    workgroupBarrier();
    for (var i = local; i < 2u * taps; i += THREADS) {
        let t = first + i / 2u;
        let four = o + 4u * (i % 2u);
        weights[i] = vec4(weight_at(four, t), weight_at(four + 1u, t), weight_at(four + 2u, t), weight_at(four + 3u, t));
    }
    workgroupBarrier();
    return taps;
}

// Four neighbours of a row for eight output channels; where TILE is less, the rest is dead code.
struct Tile {
    a0: vec4<f32>, a1: vec4<f32>, a2: vec4<f32>, a3: vec4<f32>,
    a4: vec4<f32>, a5: vec4<f32>, a6: vec4<f32>, a7: vec4<f32>,
}

fn multiply_add(t: ptr<function, Tile>, v: vec4<f32>, p: vec4<f32>, q: vec4<f32>) {
    (*t).a0 = fma(vec4(p.x), v, (*t).a0);
    if (TILE > 1u) { (*t).a1 = fma(vec4(p.y), v, (*t).a1); }
    if (TILE > 2u) { (*t).a2 = fma(vec4(p.z), v, (*t).a2); }
    if (TILE > 3u) { (*t).a3 = fma(vec4(p.w), v, (*t).a3); }
    if (TILE > 4u) {
        (*t).a4 = fma(vec4(q.x), v, (*t).a4);
        (*t).a5 = fma(vec4(q.y), v, (*t).a5);
        (*t).a6 = fma(vec4(q.z), v, (*t).a6);
        (*t).a7 = fma(vec4(q.w), v, (*t).a7);
    }
}

fn store4(b: u32, o: u32, i: u32, j: u32, sum: vec4<f32>) {
    if (o >= params.out_channels) { return; }
    let value = sum + select(0.0, bias[select(0u, o, params.has_bias != 0u)], params.has_bias != 0u);
    let index = ((b * params.out_channels + o) * HEIGHT + i) * WIDTH + j;
    y[index] = value.x;
    // Where four columns always fit, the conditions go when WIDTH is known.
    if (WIDTH % 4u == 0u || j + 1u < WIDTH) { y[index + 1u] = value.y; }
    if (WIDTH % 4u == 0u || j + 2u < WIDTH) { y[index + 2u] = value.z; }
    if (WIDTH % 4u == 0u || j + 3u < WIDTH) { y[index + 3u] = value.w; }
}

fn store_tile(b: u32, o: u32, i: u32, j: u32, t: Tile) {
    if (b >= params.batch || i >= HEIGHT) { return; }
    store4(b, o, i, j, t.a0);
    if (TILE > 1u) { store4(b, o + 1u, i, j, t.a1); }
    if (TILE > 2u) { store4(b, o + 2u, i, j, t.a2); }
    if (TILE > 3u) { store4(b, o + 3u, i, j, t.a3); }
    if (TILE > 4u) {
        store4(b, o + 4u, i, j, t.a4);
        store4(b, o + 5u, i, j, t.a5);
        store4(b, o + 6u, i, j, t.a6);
        store4(b, o + 7u, i, j, t.a7);
    }
}

// Any kernel and stride.
@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let columns = (WIDTH + 3u) / 4u;
    let item = (group.z * groups.x + group.x) * THREADS + local;
    let j = (item % columns) * 4u;
    let i = (item / columns) % HEIGHT;
    let b = item / (columns * HEIGHT);
    let o = group.y * OCTET;
    let plane = min(b, params.batch - 1u) * params.in_channels * plane_size();
    var tile: Tile;
    for (var first = 0u; first < params.in_channels * K * K; first += TAPS) {
        let taps = load_weights(o, first, local);
        for (var t = 0u; t < taps; t++) {
            let tap = first + t;
            let c = plane + (tap / (K * K)) * plane_size();
            let row = i32(i * params.stride + (tap / K) % K) - i32(params.padding);
            let column = i32(j * params.stride + tap % K) - i32(params.padding);
            let s = i32(params.stride);
            let v = vec4(pixel(c, row, column), pixel(c, row, column + s),
                         pixel(c, row, column + 2 * s), pixel(c, row, column + 3 * s));
            multiply_add(&tile, v, weights[2u * t], weights[2u * t + 1u]);
        }
    }
    store_tile(b, o, i, j, tile);
}

// Two rows of a tile as one row of the small image: two by two pixels added up.
fn store_half(b: u32, o: u32, i: u32, j: u32, upper: vec4<f32>, lower: vec4<f32>) {
    if (o >= params.out_channels) { return; }
    let rows = upper + lower;
    let index = ((b * params.out_channels + o) * (HEIGHT / 2u) + i) * (WIDTH / 2u) + j;
    y[index] = rows.x + rows.y;
    if (j + 1u < WIDTH / 2u) { y[index + 1u] = rows.z + rows.w; }
}

fn store_halved(b: u32, o: u32, i: u32, j: u32, t: Tile, s: Tile) {
    if (b >= params.batch || i >= HEIGHT / 2u) { return; }
    store_half(b, o, i, j, t.a0, s.a0);
    if (TILE > 1u) { store_half(b, o + 1u, i, j, t.a1, s.a1); }
    if (TILE > 2u) { store_half(b, o + 2u, i, j, t.a2, s.a2); }
    if (TILE > 3u) { store_half(b, o + 3u, i, j, t.a3, s.a3); }
    if (TILE > 4u) {
        store_half(b, o + 4u, i, j, t.a4, s.a4);
        store_half(b, o + 5u, i, j, t.a5, s.a5);
        store_half(b, o + 6u, i, j, t.a6, s.a6);
        store_half(b, o + 7u, i, j, t.a7, s.a7);
    }
}

// One kernel row for eight output channels.
struct KernelRow {
    p0: vec4<f32>, q0: vec4<f32>, p1: vec4<f32>, q1: vec4<f32>, p2: vec4<f32>, q2: vec4<f32>,
}

fn kernel_at(u: u32) -> KernelRow {
    let at = 6u * u;
    return KernelRow(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u], weights[at + 4u], weights[at + 5u]);
}

// The three taps of one kernel row for four rows of pixels.
fn kernel_row(
    t0: ptr<function, Tile>, t1: ptr<function, Tile>, t2: ptr<function, Tile>, t3: ptr<function, Tile>,
    r0: Row, r1: Row, r2: Row, r3: Row, w: KernelRow,
) {
    multiply_add(t0, r0.v, w.p0, w.q0);
    multiply_add(t1, r1.v, w.p0, w.q0);
    multiply_add(t2, r2.v, w.p0, w.q0);
    multiply_add(t3, r3.v, w.p0, w.q0);
    multiply_add(t0, vec4(r0.v.yzw, r0.e.x), w.p1, w.q1);
    multiply_add(t1, vec4(r1.v.yzw, r1.e.x), w.p1, w.q1);
    multiply_add(t2, vec4(r2.v.yzw, r2.e.x), w.p1, w.q1);
    multiply_add(t3, vec4(r3.v.yzw, r3.e.x), w.p1, w.q1);
    multiply_add(t0, vec4(r0.v.zw, r0.e), w.p2, w.q2);
    multiply_add(t1, vec4(r1.v.zw, r1.e), w.p2, w.q2);
    multiply_add(t2, vec4(r2.v.zw, r2.e), w.p2, w.q2);
    multiply_add(t3, vec4(r3.v.zw, r3.e), w.p2, w.q2);
}

// Kernel 3, stride 1: a tile of four by four pixels reads each pixel of x once.
@compute @workgroup_size(64)
fn forward_3x3(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let columns = (WIDTH + 3u) / 4u;
    let rows = (HEIGHT + 3u) / 4u;
    let item = (group.z * groups.x + group.x) * THREADS + local;
    let j = (item % columns) * 4u;
    let i = ((item / columns) % rows) * 4u;
    let b = item / (columns * rows);
    let o = group.y * OCTET;
    let size = plane_size();
    let top = select(i32(i) - i32(params.padding), i32(i) / 2 - 1, UP == 2u);
    let columns_at = columns_of(j);
    var plane = min(b, params.batch - 1u) * params.in_channels * size;
    var t0: Tile;
    var t1: Tile;
    var t2: Tile;
    var t3: Tile;
    for (var c = 0u; c < params.in_channels; c++) {
        load_weights(o, c * 9u, local);
        if (UP == 2u) {
            let r0 = load_doubled(plane, top, columns_at);
            let r1 = load_doubled(plane, top + 1, columns_at);
            let r3 = load_doubled(plane, top + 2, columns_at);
            kernel_row(&t0, &t1, &t2, &t3, r0, r1, r1, r3, kernel_at(0u));
            kernel_row(&t0, &t1, &t2, &t3, r1, r1, r3, r3, kernel_at(1u));
            let r5 = load_doubled(plane, top + 3, columns_at);
            kernel_row(&t0, &t1, &t2, &t3, r1, r3, r3, r5, kernel_at(2u));
        } else {
            let r0 = load_row(plane, top, columns_at);
            let r1 = load_row(plane, top + 1, columns_at);
            let r2 = load_row(plane, top + 2, columns_at);
            let r3 = load_row(plane, top + 3, columns_at);
            kernel_row(&t0, &t1, &t2, &t3, r0, r1, r2, r3, kernel_at(0u));
            let r4 = load_row(plane, top + 4, columns_at);
            kernel_row(&t0, &t1, &t2, &t3, r1, r2, r3, r4, kernel_at(1u));
            let r5 = load_row(plane, top + 5, columns_at);
            kernel_row(&t0, &t1, &t2, &t3, r2, r3, r4, r5, kernel_at(2u));
        }
        plane += size;
    }
    if (DOWN) {
        store_halved(b, o, i / 2u, j / 2u, t0, t1);
        store_halved(b, o, i / 2u + 1u, j / 2u, t2, t3);
    } else {
        // A loop: a quarter of the code to compile, and the stores are what there is most of.
        for (var r = 0u; r < 4u; r++) {
            var t = t0;
            if (r == 1u) { t = t1; }
            if (r == 2u) { t = t2; }
            if (r == 3u) { t = t3; }
            store_tile(b, o, i + r, j, t);
        }
    }
}

// The same for adapters that run on a CPU, where a load costs a dozen multiply-adds and registers are no
// limit: the left and the right half of a tile of four by eight pixels share the weights that it loads.
@compute @workgroup_size(64)
fn forward_3x3_wide(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let columns = (WIDTH + 7u) / 8u;
    let rows = (HEIGHT + 3u) / 4u;
    let item = (group.z * groups.x + group.x) * THREADS + local;
    let j = (item % columns) * 8u;
    let i = ((item / columns) % rows) * 4u;
    let b = item / (columns * rows);
    let o = group.y * OCTET;
    let size = plane_size();
    let top = select(i32(i) - i32(params.padding), i32(i) / 2 - 1, UP == 2u);
    let left = columns_of(j);
    let right = columns_of(j + 4u);
    var plane = min(b, params.batch - 1u) * params.in_channels * size;
    var t0: Tile; var t1: Tile; var t2: Tile; var t3: Tile;
    var s0: Tile; var s1: Tile; var s2: Tile; var s3: Tile;
    for (var c = 0u; c < params.in_channels; c++) {
        load_weights(o, c * 9u, local);
        var r0: Row; var r1: Row; var r2: Row; var r3: Row; var r4: Row; var r5: Row;
        var q0: Row; var q1: Row; var q2: Row; var q3: Row; var q4: Row; var q5: Row;
        if (UP == 2u) {
            r0 = load_doubled(plane, top, left);
            r1 = load_doubled(plane, top + 1, left);
            r3 = load_doubled(plane, top + 2, left);
            r5 = load_doubled(plane, top + 3, left);
            q0 = load_beside(plane, top, right, r0);
            q1 = load_beside(plane, top + 1, right, r1);
            q3 = load_beside(plane, top + 2, right, r3);
            q5 = load_beside(plane, top + 3, right, r5);
            r2 = r1;
            r4 = r3;
            q2 = q1;
            q4 = q3;
        } else {
            r0 = load_row(plane, top, left);
            r1 = load_row(plane, top + 1, left);
            r2 = load_row(plane, top + 2, left);
            r3 = load_row(plane, top + 3, left);
            r4 = load_row(plane, top + 4, left);
            r5 = load_row(plane, top + 5, left);
            q0 = load_beside(plane, top, right, r0);
            q1 = load_beside(plane, top + 1, right, r1);
            q2 = load_beside(plane, top + 2, right, r2);
            q3 = load_beside(plane, top + 3, right, r3);
            q4 = load_beside(plane, top + 4, right, r4);
            q5 = load_beside(plane, top + 5, right, r5);
        }
        let w0 = kernel_at(0u);
        kernel_row(&t0, &t1, &t2, &t3, r0, r1, r2, r3, w0);
        kernel_row(&s0, &s1, &s2, &s3, q0, q1, q2, q3, w0);
        let w1 = kernel_at(1u);
        kernel_row(&t0, &t1, &t2, &t3, r1, r2, r3, r4, w1);
        kernel_row(&s0, &s1, &s2, &s3, q1, q2, q3, q4, w1);
        let w2 = kernel_at(2u);
        kernel_row(&t0, &t1, &t2, &t3, r2, r3, r4, r5, w2);
        kernel_row(&s0, &s1, &s2, &s3, q2, q3, q4, q5, w2);
        plane += size;
    }
    // Loops, as above.
    for (var half = 0u; half < 2u; half++) {
        let column = j + 4u * half;
        if (column >= WIDTH) { continue; }
        if (half == 1u) {
            t0 = s0;
            t1 = s1;
            t2 = s2;
            t3 = s3;
        }
        if (DOWN) {
            store_halved(b, o, i / 2u, column / 2u, t0, t1);
            store_halved(b, o, i / 2u + 1u, column / 2u, t2, t3);
            continue;
        }
        for (var r = 0u; r < 4u; r++) {
            var t = t0;
            if (r == 1u) { t = t1; }
            if (r == 2u) { t = t2; }
            if (r == 3u) { t = t3; }
            store_tile(b, o, i + r, column, t);
        }
    }
}

// ---------------------------------------------------------------------------- backward to input

// Any kernel and stride, a thread a pixel: the positions of y that saw it.
//   grad_x[b,c,h,l] = sum_{o,u,v} w[o,c,u,v] * grad_y[b,o,i,j],  i*S+u-P = h,  j*S+v-P = l
@compute @workgroup_size(64)
fn backward_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * THREADS + local;
    if (item >= params.batch * params.in_channels * params.in_height * params.in_width) { return; }
    let l = item % params.in_width;
    let h = (item / params.in_width) % params.in_height;
    let c = (item / (params.in_width * params.in_height)) % params.in_channels;
    let b = item / (params.in_width * params.in_height * params.in_channels);
    var sum = 0.0;
    for (var u = 0u; u < K; u++) {
        for (var v = 0u; v < K; v++) {
            let i = i32(h + params.padding) - i32(u);
            let j = i32(l + params.padding) - i32(v);
            let row = i / i32(params.stride);
            let column = j / i32(params.stride);
            let hit = i >= 0 && j >= 0 && row * i32(params.stride) == i && column * i32(params.stride) == j
                && row < i32(params.out_height) && column < i32(params.out_width);
            if (!hit) { continue; }
            let size = params.out_height * params.out_width;
            let at = b * params.out_channels * size + u32(row) * params.out_width + u32(column);
            for (var o = 0u; o < params.out_channels; o++) {
                sum += w[((o * params.in_channels + c) * K + u) * K + v] * grad_y[at + o * size];
            }
        }
    }
    grad_x[item] = sum;
}
