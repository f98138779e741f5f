// What the searches share: their uniform, the codes in workgroup memory, and the best two of each vector.
//
// |z - c|^2 = |z|^2 - 2 (z.c - |c|^2/2), of which only the bracket depends on the code. Its products
// round by the lengths of z and c, so codes are taken relative to a centre m near all of them: with
// c' = c - m the bracket is, but for a term of z alone,
//
//   a_k = z.c' - m.c' - |c'|^2/2
//
// Where the best two a_k are nearer to each other than they may be wrong, search_doubtful.wgsl searches the
// vector anew by the differences z - c.
//
// A file that uses this says how many THREADS it has. Needs lib/number.wgsl and lib/vectors.wgsl.

struct Params {
    count: u32,                 // N
    features: u32,              // F
    codes: u32,                 // K
    positions: u32,             // vectors of an image; n = b * positions + s, z is [B, F, positions]
    first: u32,                 // the codes of this dispatch: from here, a multiple of BLOCK,
    end: u32,                   // up to here; K at the last
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> codebook: array<f32>;
@group(0) @binding(4) var<storage, read> z: array<f32>;
// c' by blocks: [K / BLOCK, F, BLOCK], four codes a vector, with zeros beyond K
@group(0) @binding(5) var<storage, read> centered: array<vec4<f32>>;
// [K] what a_k starts from, then the number of codes to search, |m|, and m [F]
@group(0) @binding(6) var<storage, read> offsets: array<f32>;
@group(0) @binding(7) var<storage, read_write> q: array<u32>;
// best and second a_k so far [N]
@group(0) @binding(9) var<storage, read_write> leads: array<vec2<f32>>;

const FAR: f32 = 3.4e38;
const BLOCK: u32 = 32u;                         // codes at once
const CHUNK: u32 = 32u;                         // features in workgroup memory at once

var<workgroup> codes: array<vec4<f32>, 256>;    // [feature][8], four codes a vector

// Brings features first.. of codes k.. k+31 into workgroup memory; returns the number of features.
fn load_codes(k: u32, first: u32, local: u32) -> u32 {
    let features = min(CHUNK, params.features - first);
    let begin = k / BLOCK * params.features + first;
    workgroupBarrier();
    for (var i = local; i < 8u * features; i += THREADS) { codes[i] = centered[8u * begin + i]; }
    workgroupBarrier();
    return features;
}

// What a_k starts from; beyond the codes in use so far below that it never wins.
fn start_of(k: u32, used: u32) -> f32 {
    var value = -FAR;
    if (k < used) { value = offsets[k]; }
    return value;
}

// The best codes of four neighbouring vectors so far.
struct Leads {
    value: vec4<f32>,
    second: vec4<f32>,
    index: vec4<u32>,
}

// Those of vectors n to n + 3 of the dispatch before.
fn leads_of(n: u32) -> Leads {
    let last = params.count - 1u;
    let a = min(n, last);
    let b = min(n + 1u, last);
    let c = min(n + 2u, last);
    let d = min(n + 3u, last);
    return Leads(
        vec4(leads[a].x, leads[b].x, leads[c].x, leads[d].x),
        vec4(leads[a].y, leads[b].y, leads[c].y, leads[d].y),
        vec4(q[a], q[b], q[c], q[d]));
}

fn keep(n: u32, index: u32, best: f32, second: f32) {
    if (n >= params.count) { return; }
    q[n] = index;
    leads[n] = vec2(best, second);
}

fn keep4(n: u32, best: Leads) {
    keep(n, best.index.x, best.value.x, best.second.x);
    keep(n + 1u, best.index.y, best.value.y, best.second.y);
    keep(n + 2u, best.index.z, best.value.z, best.second.z);
    keep(n + 3u, best.index.w, best.value.w, best.second.w);
}
