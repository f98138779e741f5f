// conv2d, backward to the weights, for adapters that run on a CPU, where instructions are what counts: a
// load costs a dozen multiply-adds, workgroup memory no less, and there is no register file to overflow.
// So a thread holds many accumulators and loads what it needs itself. The first stage of two, as in
// conv2d_weight.wgsl; kernel 3, stride 1.

// Where a thread works: `part` says on which channels, `chunk` on which positions.
struct Place {
    part: u32,
    chunk: u32,
}

fn place(id: u32, parts: u32) -> Place {
    return Place(id % parts, id / parts);
}

// ---------------------------------------------------------------------------- without upsampling
//
// A thread owns two input and eight output channels. It walks down four columns, two rows at a time.

// Indices of the first pixels of eight channels of grad_y; channels beyond the last repeat it.
struct Planes {
    lo: vec4<u32>,
    hi: vec4<u32>,
}

fn planes(b: u32, o: u32) -> Planes {
    let last = vec4(params.out_channels - 1u);
    let first = vec4(b * params.out_channels);
    let size = HEIGHT * WIDTH;
    return Planes(
        (first + min(vec4(o) + vec4(0u, 1u, 2u, 3u), last)) * size,
        (first + min(vec4(o) + vec4(4u, 5u, 6u, 7u), last)) * size);
}

// A pixel of eight channels of grad_y, zero outside the image.
fn gradients(p: Planes, i: u32, j: u32) -> Tap {
    let inside = i < HEIGHT && j < WIDTH;
    let at = select(0u, i * WIDTH + j, inside);
    let a = p.lo + at;
    let b = p.hi + at;
    let lo = vec4(grad_y[a.x], grad_y[a.y], grad_y[a.z], grad_y[a.w]);
    if (TILE <= 4u) { return Tap(select(vec4(0.0), lo, inside), vec4(0.0)); }
    let hi = vec4(grad_y[b.x], grad_y[b.y], grad_y[b.z], grad_y[b.w]);
    return Tap(select(vec4(0.0), lo, inside), select(vec4(0.0), hi, inside));
}

// The nine taps of one input channel.
struct Taps {
    t0: Tap, t1: Tap, t2: Tap, t3: Tap, t4: Tap, t5: Tap, t6: Tap, t7: Tap, t8: Tap,
}

fn correlate(t: ptr<function, Taps>, g0: Tap, g1: Tap, g2: Tap, g3: Tap, r0: Row, r1: Row, r2: Row) {
    (*t).t0 = spread((*t).t0, g0, g1, g2, g3, r0.v);
    (*t).t1 = spread((*t).t1, g0, g1, g2, g3, vec4(r0.v.yzw, r0.e.x));
    (*t).t2 = spread((*t).t2, g0, g1, g2, g3, vec4(r0.v.zw, r0.e));
    (*t).t3 = spread((*t).t3, g0, g1, g2, g3, r1.v);
    (*t).t4 = spread((*t).t4, g0, g1, g2, g3, vec4(r1.v.yzw, r1.e.x));
    (*t).t5 = spread((*t).t5, g0, g1, g2, g3, vec4(r1.v.zw, r1.e));
    (*t).t6 = spread((*t).t6, g0, g1, g2, g3, r2.v);
    (*t).t7 = spread((*t).t7, g0, g1, g2, g3, vec4(r2.v.yzw, r2.e.x));
    (*t).t8 = spread((*t).t8, g0, g1, g2, g3, vec4(r2.v.zw, r2.e));
}

fn store_taps(chunk: u32, o: u32, c: u32, all: Taps) {
    if (c >= params.in_channels || chunk >= params.chunks) { return; }
    // A loop: the stores are most of what there is to compile.
    for (var tap = 0u; tap < 9u; tap++) {
        var t = all.t0;
        if (tap == 1u) { t = all.t1; }
        if (tap == 2u) { t = all.t2; }
        if (tap == 3u) { t = all.t3; }
        if (tap == 4u) { t = all.t4; }
        if (tap == 5u) { t = all.t5; }
        if (tap == 6u) { t = all.t6; }
        if (tap == 7u) { t = all.t7; }
        if (tap == 8u) { t = all.t8; }
        store_tap(chunk, o, c * 9u + tap, t);
    }
}

@compute @workgroup_size(16)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channel_pairs = (params.in_channels + 1u) / 2u;
    let at = place(linear_group(group, groups) * 16u + local, channel_pairs * ((params.out_channels + OCTET - 1u) / OCTET));
    let c = 2u * (at.part % channel_pairs);
    let o = OCTET * (at.part / channel_pairs);
    let size = plane_size();
    let strips = (WIDTH + 3u) / 4u;
    let next = select(0u, size, c + 1u < params.in_channels);
    var first: Taps;
    var second: Taps;
    var ones: Tap;
    for (var strip = at.chunk; strip < params.batch * strips; strip += params.chunks) {
        let b = strip / strips;
        let j = (strip % strips) * 4u;
        let plane = (b * params.in_channels + c) * size;
        let columns_at = columns_of(j);
        let p = planes(b, o);
        let top = -i32(params.padding);
        var r0 = load_row(plane, top, columns_at);
        var r1 = load_row(plane, top + 1, columns_at);
        var s0 = load_row(plane + next, top, columns_at);
        var s1 = load_row(plane + next, top + 1, columns_at);
        for (var i = 0u; i < HEIGHT; i += 2u) {
            let r2 = load_row(plane, top + i32(i) + 2, columns_at);
            let r3 = load_row(plane, top + i32(i) + 3, columns_at);
            let s2 = load_row(plane + next, top + i32(i) + 2, columns_at);
            let s3 = load_row(plane + next, top + i32(i) + 3, columns_at);
            let g0 = gradients(p, i, j);
            let g1 = gradients(p, i, j + 1u);
            let g2 = gradients(p, i, j + 2u);
            let g3 = gradients(p, i, j + 3u);
            correlate(&first, g0, g1, g2, g3, r0, r1, r2);
            correlate(&second, g0, g1, g2, g3, s0, s1, s2);
            let h0 = gradients(p, i + 1u, j);
            let h1 = gradients(p, i + 1u, j + 1u);
            let h2 = gradients(p, i + 1u, j + 2u);
            let h3 = gradients(p, i + 1u, j + 3u);
            correlate(&first, h0, h1, h2, h3, r1, r2, r3);
            correlate(&second, h0, h1, h2, h3, s1, s2, s3);
            ones.lo += g0.lo + g1.lo + g2.lo + g3.lo + h0.lo + h1.lo + h2.lo + h3.lo;
            ones.hi += g0.hi + g1.hi + g2.hi + g3.hi + h0.hi + h1.hi + h2.hi + h3.hi;
            r0 = r2;
            r1 = r3;
            s0 = s2;
            s1 = s3;
        }
    }
    store_taps(at.chunk, o, c, first);
    store_taps(at.chunk, o, c + 1u, second);
    if (c == 0u && at.chunk < params.chunks) {
        let end = params.out_channels * params.in_channels * 9u;
        store_partial(at.chunk, o, end, 1u, ones.lo);
        store_partial(at.chunk, o + 4u, end, 1u, ones.hi);
    }
}

// ------------------------------------------------------------------------------- with upsampling
//
// A pixel (h, l) of the small image meets tap (u, v) at two by two pixels of grad_y:
//   grad_w[o,c,u,v] = sum_{b,h,l} x[b,c,h,l] * G[u,v],
//   G[u,v] = sum of grad_y[b,o,i,j] over i in {2h + 1 - u, 2h + 2 - u}, j in {2l + 1 - v, 2l + 2 - v}
// The sums G serve all input channels, and a quarter of the multiply-adds are left. A thread owns eight
// input channels and one output channel.

// Ten neighbours of a row of grad_y, zero outside the image.
struct Ten {
    a: vec4<f32>, b: vec4<f32>, c: vec2<f32>,
}

fn gradient_row(plane: u32, i: i32, j: i32) -> Ten {
    let row = i >= 0 && i < i32(HEIGHT);
    let at = plane + u32(clamp(i, 0, i32(HEIGHT) - 1)) * WIDTH;
    let last = i32(WIDTH) - 1;
    let ja = vec4(j) + vec4(0, 1, 2, 3);
    let jb = ja + 4;
    let jc = vec2(j) + vec2(8, 9);
    let ka = vec4(at) + vec4<u32>(clamp(ja, vec4(0), vec4(last)));
    let kb = vec4(at) + vec4<u32>(clamp(jb, vec4(0), vec4(last)));
    let kc = vec2(at) + vec2<u32>(clamp(jc, vec2(0), vec2(last)));
    return Ten(
        select(vec4(0.0), vec4(grad_y[ka.x], grad_y[ka.y], grad_y[ka.z], grad_y[ka.w]),
            (ja >= vec4(0)) & (ja <= vec4(last)) & vec4(row)),
        select(vec4(0.0), vec4(grad_y[kb.x], grad_y[kb.y], grad_y[kb.z], grad_y[kb.w]),
            (jb >= vec4(0)) & (jb <= vec4(last)) & vec4(row)),
        select(vec2(0.0), vec2(grad_y[kc.x], grad_y[kc.y]),
            (jc >= vec2(0)) & (jc <= vec2(last)) & vec2(row)));
}

// G of one kernel row at four pixels: the sums for v = 0, 1, 2.
struct Sums {
    v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>,
}

fn sums(upper: Ten, lower: Ten) -> Sums {
    let a = upper.a + lower.a;
    let b = upper.b + lower.b;
    let c = upper.c + lower.c;
    // Pixel k sees columns 2k to 2k + 3.
    let first = vec4(a.x, a.z, b.x, b.z);
    let second = vec4(a.y, a.w, b.y, b.w);
    let third = vec4(a.z, b.x, b.z, c.x);
    let fourth = vec4(a.w, b.y, b.w, c.y);
    return Sums(third + fourth, second + third, first + second);
}

@compute @workgroup_size(16)
fn doubled_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let octets = (params.in_channels + OCTET - 1u) / OCTET;
    let at = place(linear_group(group, groups) * 16u + local, params.out_channels * octets);
    let o = at.part % params.out_channels;
    let c = OCTET * (at.part / params.out_channels);
    let size = plane_size();
    let height = HEIGHT / 2u;
    let width = WIDTH / 2u;
    let channels_lo = min(vec4(c) + vec4(0u, 1u, 2u, 3u), vec4(params.in_channels - 1u)) * size;
    let channels_hi = min(vec4(c) + vec4(4u, 5u, 6u, 7u), vec4(params.in_channels - 1u)) * size;
    var t: Taps;
    var ones = 0.0;
    for (var row = at.chunk; row < params.batch * height; row += params.chunks) {
        let b = row / height;
        let h = row % height;
        let plane = (b * params.out_channels + o) * HEIGHT * WIDTH;
        let small = b * params.in_channels * size + h * width;
        for (var l = 0u; l < width; l += 4u) {
            let i = 2 * i32(h) - 1;
            let j = 2 * i32(l) - 1;
            let r1 = gradient_row(plane, i + 1, j);
            let r2 = gradient_row(plane, i + 2, j);
            let u0 = sums(r2, gradient_row(plane, i + 3, j));
            let u1 = sums(r1, r2);
            let u2 = sums(gradient_row(plane, i, j), r1);
            let x0 = small_pixels(small, channels_lo, channels_hi, l, width);
            let x1 = small_pixels(small, channels_lo, channels_hi, l + 1u, width);
            let x2 = small_pixels(small, channels_lo, channels_hi, l + 2u, width);
            let x3 = small_pixels(small, channels_lo, channels_hi, l + 3u, width);
            t.t0 = spread(t.t0, x0, x1, x2, x3, u0.v0);
            t.t1 = spread(t.t1, x0, x1, x2, x3, u0.v1);
            t.t2 = spread(t.t2, x0, x1, x2, x3, u0.v2);
            t.t3 = spread(t.t3, x0, x1, x2, x3, u1.v0);
            t.t4 = spread(t.t4, x0, x1, x2, x3, u1.v1);
            t.t5 = spread(t.t5, x0, x1, x2, x3, u1.v2);
            t.t6 = spread(t.t6, x0, x1, x2, x3, u2.v0);
            t.t7 = spread(t.t7, x0, x1, x2, x3, u2.v1);
            t.t8 = spread(t.t8, x0, x1, x2, x3, u2.v2);
            // The windows of the middle tap cover grad_y once.
            ones += dot(u1.v1, select(vec4(0.0), vec4(1.0), vec4(l) + vec4(0u, 1u, 2u, 3u) < vec4(width)));
        }
    }
    if (at.chunk >= params.chunks) { return; }
    let count = params.out_channels * params.in_channels * 9u + params.out_channels;
    for (var k = 0u; k < 8u; k++) {
        if (c + k >= params.in_channels) { continue; }
        let to = at.chunk * count + (o * params.in_channels + c + k) * 9u;
        partial[to] = channel(t.t0, k);
        partial[to + 1u] = channel(t.t1, k);
        partial[to + 2u] = channel(t.t2, k);
        partial[to + 3u] = channel(t.t3, k);
        partial[to + 4u] = channel(t.t4, k);
        partial[to + 5u] = channel(t.t5, k);
        partial[to + 6u] = channel(t.t6, k);
        partial[to + 7u] = channel(t.t7, k);
        partial[to + 8u] = channel(t.t8, k);
    }
    if (c == 0u) { partial[at.chunk * count + params.out_channels * params.in_channels * 9u + o] = ones; }
}

// A pixel of eight channels of x, zero beyond the row.
fn small_pixels(small: u32, lo: vec4<u32>, hi: vec4<u32>, l: u32, width: u32) -> Tap {
    let inside = l < width;
    let at = small + min(l, width - 1u);
    let a = lo + at;
    let b = hi + at;
    return Tap(
        select(vec4(0.0), vec4(x[a.x], x[a.y], x[a.z], x[a.w]), inside),
        select(vec4(0.0), vec4(x[b.x], x[b.y], x[b.z], x[b.w]), inside));
}

fn channel(t: Tap, k: u32) -> f32 {
    let four = select(t.lo, t.hi, k >= 4u);
    let two = select(four.xy, four.zw, (k & 2u) != 0u);
    return select(two.x, two.y, (k & 1u) != 0u);
}
