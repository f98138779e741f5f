// What the files of the convolution's weight gradient share: what they read and write, taps of eight
// output channels.

@group(0) @binding(5) var<storage, read> grad_y: array<f32>;
@group(0) @binding(7) var<storage, read_write> partial: array<f32>;

// One tap of eight output channels.
struct Tap {
    lo: vec4<f32>,
    hi: vec4<f32>,
}

// One tap at four columns more.
fn spread(t: Tap, g0: Tap, g1: Tap, g2: Tap, g3: Tap, v: vec4<f32>) -> Tap {
    return Tap(
        fma(g0.lo, vec4(v.x), fma(g1.lo, vec4(v.y), fma(g2.lo, vec4(v.z), fma(g3.lo, vec4(v.w), t.lo)))),
        fma(g0.hi, vec4(v.x), fma(g1.hi, vec4(v.y), fma(g2.hi, vec4(v.z), fma(g3.hi, vec4(v.w), t.hi)))));
}

// partial[chunk] holds grad_w, then grad_bias.
fn store_partial(chunk: u32, o: u32, at: u32, step: u32, sum: vec4<f32>) {
    let base = chunk * (params.out_channels * params.in_channels * K * K + params.out_channels) + at;
    if (o < params.out_channels) { partial[base + o * step] = sum.x; }
    if (o + 1u < params.out_channels) { partial[base + (o + 1u) * step] = sum.y; }
    if (o + 2u < params.out_channels) { partial[base + (o + 2u) * step] = sum.z; }
    if (o + 3u < params.out_channels) { partial[base + (o + 3u) * step] = sum.w; }
}

fn store_tap(chunk: u32, o: u32, at: u32, t: Tap) {
    store_partial(chunk, o, at, params.in_channels * 9u, t.lo);
    store_partial(chunk, o + 4u, at, params.in_channels * 9u, t.hi);
}
