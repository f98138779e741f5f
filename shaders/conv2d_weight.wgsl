// conv2d, backward to the weights:
//   grad_w[o,c,u,v] = sum_{b,i,j} grad_y[b,o,i,j] * x[b,c, i*S+u-P, j*S+v-P],  grad_bias = sum grad_y
// in two stages: chunks of the positions into `partial`, then their sum.

@group(0) @binding(8) var<storage, read_write> grad_w: array<f32>;
@group(0) @binding(9) var<storage, read_write> grad_bias: array<f32>;
@group(0) @binding(10) var<storage, read> partial_in: array<f32>;

// Four neighbours of a row of grad_y in channel o, zero beyond the image.
fn gradient4(o: u32, b: u32, i: u32, j: u32, live: bool) -> vec4<f32> {
    let inside = live && o < params.out_channels;
    let row = select(0u, ((b * params.out_channels + o) * HEIGHT + i) * WIDTH, inside);
    let last = WIDTH - 1u;
    let g = vec4(grad_y[row + j], grad_y[row + min(j + 1u, last)],
                 grad_y[row + min(j + 2u, last)], grad_y[row + min(j + 3u, last)]);
    return select(vec4(0.0), g, vec4(inside) & (vec4(j) + vec4(0u, 1u, 2u, 3u) < vec4(WIDTH)));
}

// The gradients of eight output channels at four neighbours.
struct Gradients {
    g0: vec4<f32>, g1: vec4<f32>, g2: vec4<f32>, g3: vec4<f32>,
    g4: vec4<f32>, g5: vec4<f32>, g6: vec4<f32>, g7: vec4<f32>,
}

fn load_gradients(o: u32, b: u32, i: u32, j: u32, live: bool) -> Gradients {
    var g: Gradients;
    g.g0 = gradient4(o, b, i, j, live);
    if (TILE > 1u) { g.g1 = gradient4(o + 1u, b, i, j, live); }
    if (TILE > 2u) { g.g2 = gradient4(o + 2u, b, i, j, live); }
    if (TILE > 3u) { g.g3 = gradient4(o + 3u, b, i, j, live); }
    if (TILE > 4u) {
        g.g4 = gradient4(o + 4u, b, i, j, live);
        g.g5 = gradient4(o + 5u, b, i, j, live);
        g.g6 = gradient4(o + 6u, b, i, j, live);
        g.g7 = gradient4(o + 7u, b, i, j, live);
    }
    return g;
}

fn correlate(t: ptr<function, Tap>, g: Gradients, v: vec4<f32>) {
    (*t).lo += vec4(dot(g.g0, v), dot(g.g1, v), dot(g.g2, v), dot(g.g3, v));
    if (TILE > 4u) {
        (*t).hi += vec4(dot(g.g4, v), dot(g.g5, v), dot(g.g6, v), dot(g.g7, v));
    }
}

var<workgroup> sums: array<vec4<f32>, 256>;     // four values a thread

// The sum of value `local` of the four over all threads, in a fixed order, in threads 0 to 3.
fn totals(local: u32, v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>) -> vec4<f32> {
    workgroupBarrier();
    sums[local] = v0;
    sums[THREADS + local] = v1;
    sums[2u * THREADS + local] = v2;
    sums[3u * THREADS + local] = v3;
    workgroupBarrier();
    var sum = vec4(0.0);
    if (local < 4u) {
        for (var i = 0u; i < THREADS; i++) { sum += sums[local * THREADS + i]; }
    }
    return sum;
}

// One tap of eight output channels a workgroup (chunk, tap, channels): any kernel and stride.
//   grad_w[o,c,u,v] = sum_{b,i,j} grad_y[b,o,i,j] * x[b,c, i*S+u-P, j*S+v-P];  grad_bias = sum grad_y
@compute @workgroup_size(64)
fn backward_weight(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let o = group.z * OCTET;
    let t = group.y;
    let size = plane_size();
    let columns = (WIDTH + 3u) / 4u;
    let items = params.batch * params.out_height * columns;
    let s = i32(params.stride);
    var tap: Tap;
    var ones: Tap;
    for (var item = group.x * THREADS + local; item < items; item += params.chunks * THREADS) {
        let j = (item % columns) * 4u;
        let i = (item / columns) % HEIGHT;
        let b = item / (columns * HEIGHT);
        let g = load_gradients(o, b, i, j, true);
        let plane = (b * params.in_channels + t / (K * K)) * size;
        let row = i32(i * params.stride + (t / K) % K) - i32(params.padding);
        let column = i32(j * params.stride + t % K) - i32(params.padding);
        correlate(&tap, g, vec4(pixel(plane, row, column), pixel(plane, row, column + s),
                                pixel(plane, row, column + 2 * s), pixel(plane, row, column + 3 * s)));
        if (t == 0u) { correlate(&ones, g, vec4(1.0)); }
    }
    let sum = totals(local, tap.lo, tap.hi, ones.lo, ones.hi);
    if (local < 2u) { store_partial(group.x, o + 4u * local, t, params.in_channels * K * K, sum); }
    if (t == 0u && local >= 2u && local < 4u) {
        store_partial(group.x, o + 4u * (local - 2u), params.out_channels * params.in_channels * K * K, 1u, sum);
    }
}

// Kernel 3, stride 1, few channels: all nine taps of one input and eight output channels a workgroup.
@compute @workgroup_size(64)
fn backward_weight_3x3(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let o = group.z * OCTET;
    let c = group.y;
    let size = plane_size();
    let columns = (WIDTH + 3u) / 4u;
    let rows = (HEIGHT + 1u) / 2u;
    let items = params.batch * rows * columns;
    var t0: Tap; var t1: Tap; var t2: Tap;
    var t3: Tap; var t4: Tap; var t5: Tap;
    var t6: Tap; var t7: Tap; var t8: Tap;
    var ones: Tap;
    for (var item = group.x * THREADS + local; item < items; item += params.chunks * THREADS) {
        let j = (item % columns) * 4u;
        let i = ((item / columns) % rows) * 2u;
        let b = item / (columns * rows);
        let plane = (b * params.in_channels + c) * size;
        let top = i32(i) - i32(params.padding);
        let columns_at = columns_of(j);
        let g = load_gradients(o, b, i, j, true);
        var r0: Row; var r1: Row; var r2: Row; var r3: Row;
        if (UP == 2u) {
            r0 = load_doubled(plane, i32(i) / 2 - 1, columns_at);
            r1 = load_doubled(plane, i32(i) / 2, columns_at);
            r2 = r1;
            r3 = load_doubled(plane, i32(i) / 2 + 1, columns_at);
        } else {
            r0 = load_row(plane, top, columns_at);
            r1 = load_row(plane, top + 1, columns_at);
            r2 = load_row(plane, top + 2, columns_at);
            r3 = load_row(plane, top + 3, columns_at);
        }
        correlate(&t0, g, r0.v);
        correlate(&t1, g, vec4(r0.v.yzw, r0.e.x));
        correlate(&t2, g, vec4(r0.v.zw, r0.e));
        correlate(&t3, g, r1.v);
        correlate(&t4, g, vec4(r1.v.yzw, r1.e.x));
        correlate(&t5, g, vec4(r1.v.zw, r1.e));
        correlate(&t6, g, r2.v);
        correlate(&t7, g, vec4(r2.v.yzw, r2.e.x));
        correlate(&t8, g, vec4(r2.v.zw, r2.e));
        let h = load_gradients(o, b, i + 1u, j, i + 1u < params.out_height);
        correlate(&t0, h, r1.v);
        correlate(&t1, h, vec4(r1.v.yzw, r1.e.x));
        correlate(&t2, h, vec4(r1.v.zw, r1.e));
        correlate(&t3, h, r2.v);
        correlate(&t4, h, vec4(r2.v.yzw, r2.e.x));
        correlate(&t5, h, vec4(r2.v.zw, r2.e));
        correlate(&t6, h, r3.v);
        correlate(&t7, h, vec4(r3.v.yzw, r3.e.x));
        correlate(&t8, h, vec4(r3.v.zw, r3.e));
        if (c == 0u) {
            correlate(&ones, g, vec4(1.0));
            correlate(&ones, h, vec4(1.0));
        }
    }
    let at = c * 9u;
    let step = params.in_channels * 9u;
    let low = totals(local, t0.lo, t1.lo, t2.lo, t3.lo);
    if (local < 4u) { store_partial(group.x, o, at + local, step, low); }
    let next = totals(local, t4.lo, t5.lo, t6.lo, t7.lo);
    if (local < 4u) { store_partial(group.x, o, at + 4u + local, step, next); }
    let last = totals(local, t8.lo, t8.hi, ones.lo, ones.hi);
    if (local < 2u) { store_partial(group.x, o + 4u * local, at + 8u, step, last); }
    if (c == 0u && local >= 2u && local < 4u) {
        store_partial(group.x, o + 4u * (local - 2u), params.out_channels * step, 1u, last);
    }
    if (TILE > 4u) {
        let high = totals(local, t0.hi, t1.hi, t2.hi, t3.hi);
        if (local < 4u) { store_partial(group.x, o + 4u, at + local, step, high); }
        let end = totals(local, t4.hi, t5.hi, t6.hi, t7.hi);
        if (local < 4u) { store_partial(group.x, o + 4u, at + 4u + local, step, end); }
    }
}

// Kernel 3, stride 1, many channels: a thread owns one input channel and eight output channels,
// a workgroup 64 such pairs (`lanes` input channels by 64 / lanes octets). It walks over pairs of
// rows of y, eight columns at a time, which it first brings into its memory; nothing is left to
// add up between threads. Channels beyond the last repeat it and are not stored.
const COLUMNS: u32 = 8u;
const WINDOW: u32 = 3u;                         // quads of columns of x that they need
// x [lane][4 rows][WINDOW], then grad_y [octet][2 rows][COLUMNS][8 channels / 4]
var<workgroup> held: array<vec4<f32>, 448>;

// A pixel of grad_y, zero outside the image; channels beyond the last repeat it.
fn gradient_at(o: u32, b: u32, i: u32, j: u32) -> f32 {
    let inside = i < HEIGHT && j < WIDTH;
    let plane = (b * params.out_channels + min(o, params.out_channels - 1u)) * HEIGHT;
    return select(0.0, grad_y[select(0u, (plane + i) * WIDTH + j, inside)], inside);
}

fn window(at: u32) -> Row {
    return Row(held[at], held[at + 1u].xy);
}

fn octet_at(at: u32) -> Tap {
    return Tap(held[at], held[at + 1u]);
}

// Three taps of a kernel row at four columns.
fn spread_row(
    t0: ptr<function, Tap>, t1: ptr<function, Tap>, t2: ptr<function, Tap>,
    g0: Tap, g1: Tap, g2: Tap, g3: Tap, r: Row,
) {
    *t0 = spread(*t0, g0, g1, g2, g3, r.v);
    *t1 = spread(*t1, g0, g1, g2, g3, vec4(r.v.yzw, r.e.x));
    *t2 = spread(*t2, g0, g1, g2, g3, vec4(r.v.zw, r.e));
}

@compute @workgroup_size(64)
fn backward_weight_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let lanes = params.lanes;
    let octets = THREADS / lanes;
    let first_c = group.y * lanes;
    let first_o = group.z * octets * OCTET;
    let lane = local % lanes;
    let c = first_c + lane;
    let octet = local / lanes;
    let gradients = lanes * 4u * WINDOW;            // where they begin
    let size = plane_size();
    let pairs = (HEIGHT + 1u) / 2u;
    var t0: Tap; var t1: Tap; var t2: Tap;
    var t3: Tap; var t4: Tap; var t5: Tap;
    var t6: Tap; var t7: Tap; var t8: Tap;
    var ones: Tap;
    for (var pair = group.x; pair < params.batch * pairs; pair += params.chunks) {
        let b = pair / pairs;
        let i = (pair % pairs) * 2u;
        for (var j = 0u; j < WIDTH; j += COLUMNS) {
            workgroupBarrier();
            for (var at = local; at < gradients; at += THREADS) {
                let channel = min(first_c + at / (4u * WINDOW), params.in_channels - 1u);
                let plane = (b * params.in_channels + channel) * size;
                let h = i32(i + (at / WINDOW) % 4u) - i32(params.padding);
                let l = i32(j + (at % WINDOW) * 4u) - i32(params.padding);
                held[at] = vec4(pixel(plane, h, l), pixel(plane, h, l + 1), pixel(plane, h, l + 2), pixel(plane, h, l + 3));
            }
            for (var at = local; at < octets * 4u * COLUMNS; at += THREADS) {
                // Columns run fastest over the threads, then the quads of a row of channels.
                let column = at % COLUMNS;
                let quad = (at / COLUMNS) % 2u;
                let row = at / (2u * COLUMNS);          // octet * 2 + row of the pair
                let o = first_o + (row / 2u) * OCTET + quad * 4u;
                let h = i + row % 2u;
                held[gradients + (row * COLUMNS + column) * 2u + quad] =
                    vec4(gradient_at(o, b, h, j + column), gradient_at(o + 1u, b, h, j + column),
                         gradient_at(o + 2u, b, h, j + column), gradient_at(o + 3u, b, h, j + column));
            }
            workgroupBarrier();
            let blocks = min(COLUMNS, WIDTH - j + 3u) / 4u;
            for (var k = 0u; k < blocks; k++) {
                let at = lane * 4u * WINDOW + k;
                let top = gradients + (octet * 2u * COLUMNS + k * 4u) * 2u;
                let r1 = window(at + WINDOW);
                let r2 = window(at + 2u * WINDOW);
                var g0 = octet_at(top);
                var g1 = octet_at(top + 2u);
                var g2 = octet_at(top + 4u);
                var g3 = octet_at(top + 6u);
                spread_row(&t0, &t1, &t2, g0, g1, g2, g3, window(at));
                spread_row(&t3, &t4, &t5, g0, g1, g2, g3, r1);
                spread_row(&t6, &t7, &t8, g0, g1, g2, g3, r2);
                ones = spread(ones, g0, g1, g2, g3, vec4(1.0));
                let bottom = top + 2u * COLUMNS;
                g0 = octet_at(bottom);
                g1 = octet_at(bottom + 2u);
                g2 = octet_at(bottom + 4u);
                g3 = octet_at(bottom + 6u);
                spread_row(&t0, &t1, &t2, g0, g1, g2, g3, r1);
                spread_row(&t3, &t4, &t5, g0, g1, g2, g3, r2);
                spread_row(&t6, &t7, &t8, g0, g1, g2, g3, window(at + 3u * WINDOW));
                ones = spread(ones, g0, g1, g2, g3, vec4(1.0));
            }
        }
    }
    if (c >= params.in_channels) { return; }
    let o = first_o + octet * OCTET;
    store_tap(group.x, o, c * 9u, t0);
    store_tap(group.x, o, c * 9u + 1u, t1);
    store_tap(group.x, o, c * 9u + 2u, t2);
    store_tap(group.x, o, c * 9u + 3u, t3);
    store_tap(group.x, o, c * 9u + 4u, t4);
    store_tap(group.x, o, c * 9u + 5u, t5);
    store_tap(group.x, o, c * 9u + 6u, t6);
    store_tap(group.x, o, c * 9u + 7u, t7);
    store_tap(group.x, o, c * 9u + 8u, t8);
    if (c == 0u) {
        let at = params.out_channels * params.in_channels * 9u;
        store_partial(group.x, o, at, 1u, ones.lo);
        store_partial(group.x, o + 4u, at, 1u, ones.hi);
    }
}

// Adds up the chunks.
@compute @workgroup_size(64)
fn backward_weight_sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * THREADS + local;
    let weight_count = params.out_channels * params.in_channels * K * K;
    if (item >= weight_count + params.out_channels) { return; }
    var sum = 0.0;
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        sum += partial_in[chunk * (weight_count + params.out_channels) + item];
    }
    if (item < weight_count) {
        grad_w[item] = sum;
    } else if (params.has_bias != 0u) {
        grad_bias[item - weight_count] = sum;
    }
}
