// search: q[n] = argmin_k |z_n - C_k|^2, the lowest k on a tie; the N by K distances are never
// stored. |z - c|^2 = |z|^2 - 2 (z.c - |c|^2/2): only the bracket depends on k.
// A thread keeps four vectors against thirty-two codes; the codes stand in workgroup memory.

struct Params {
    count: u32,                 // N
    features: u32,              // F
    codes: u32,                 // K
    positions: u32,             // vectors of an image; n = b * positions + s, z is [B, F, positions]
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> codebook: array<f32>;
@group(0) @binding(2) var<storage, read_write> half_norms: array<f32>;
@group(0) @binding(3) var<storage, read> z: array<f32>;
@group(0) @binding(4) var<storage, read> half_norms_in: array<f32>;
@group(0) @binding(5) var<storage, read_write> q: array<u32>;
@group(0) @binding(6) var<storage, read> limit: array<u32>;

const THREADS: u32 = 64u;
const FAR: f32 = 3.4e38;

fn half_norm(k: u32) {
    if (k >= params.codes) { return; }
    var sum = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let c = codebook[k * params.features + f];
        sum += c * c;
    }
    half_norms[k] = 0.5 * sum;
}

// half_norms[k] = |C_k|^2 / 2; behind them the number of codes to search.
@compute @workgroup_size(64)
fn norms(@builtin(global_invocation_id) id: vec3<u32>) {
    half_norm(id.x);
    if (id.x == 0u) { half_norms[params.codes] = f32(params.codes); }
}

// The same for the first `limit[0]` codes only.
@compute @workgroup_size(64)
fn norms_of_first(@builtin(global_invocation_id) id: vec3<u32>) {
    half_norm(id.x);
    if (id.x == 0u) { half_norms[params.codes] = f32(min(limit[0], params.codes)); }
}

const BLOCK: u32 = 32u;                         // codes at once
const CHUNK: u32 = 32u;                         // features in workgroup memory at once
var<workgroup> codes: array<vec4<f32>, 256>;    // [feature][8], four codes a vector

fn code(k: u32, f: u32) -> f32 {
    let inside = k < params.codes && f < params.features;
    return select(0.0, codebook[select(0u, k * params.features + f, inside)], inside);
}

fn load_codes(k: u32, first: u32, local: u32) -> u32 {
    let features = min(CHUNK, params.features - first);
    workgroupBarrier();
    for (var i = local; i < 8u * features; i += THREADS) {
        let f = first + i / 8u;
        let at = k + 4u * (i % 8u);
        codes[i] = vec4(code(at, f), code(at + 1u, f), code(at + 2u, f), code(at + 3u, f));
    }
    workgroupBarrier();
    return features;
}

struct Best {
    distance: vec4<f32>,
    index: vec4<u32>,
}

fn compare(best: ptr<function, Best>, k: u32, used: u32, dots: vec4<f32>) {
    var norm = FAR;
    if (k < used) { norm = half_norms_in[k]; }
    let distance = vec4(norm) - dots;
    let closer = distance < (*best).distance;
    (*best).distance = select((*best).distance, distance, closer);
    (*best).index = select((*best).index, vec4(k), closer);
}

// Index in z of feature 0 of vector n.
fn start(n: u32) -> u32 {
    return element(min(n, params.count - 1u), 0u);
}

@compute @workgroup_size(64)
fn search(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = (linear_group(group, groups) * THREADS + local) * 4u;
    let at = vec4(start(n), start(n + 1u), start(n + 2u), start(n + 3u));
    var best = Best(vec4(FAR), vec4(0u));
    let used = u32(half_norms_in[params.codes]);
    for (var k = 0u; k < used; k += BLOCK) {
        var a0 = vec4(0.0); var a1 = vec4(0.0); var a2 = vec4(0.0); var a3 = vec4(0.0);
        var a4 = vec4(0.0); var a5 = vec4(0.0); var a6 = vec4(0.0); var a7 = vec4(0.0);
        var a8 = vec4(0.0); var a9 = vec4(0.0); var a10 = vec4(0.0); var a11 = vec4(0.0);
        var a12 = vec4(0.0); var a13 = vec4(0.0); var a14 = vec4(0.0); var a15 = vec4(0.0);
        var a16 = vec4(0.0); var a17 = vec4(0.0); var a18 = vec4(0.0); var a19 = vec4(0.0);
        var a20 = vec4(0.0); var a21 = vec4(0.0); var a22 = vec4(0.0); var a23 = vec4(0.0);
        var a24 = vec4(0.0); var a25 = vec4(0.0); var a26 = vec4(0.0); var a27 = vec4(0.0);
        var a28 = vec4(0.0); var a29 = vec4(0.0); var a30 = vec4(0.0); var a31 = vec4(0.0);
        for (var first = 0u; first < params.features; first += CHUNK) {
            let features = load_codes(k, first, local);
            for (var f = 0u; f < features; f++) {
                let o = at + (first + f) * params.positions;
                let v = vec4(z[o.x], z[o.y], z[o.z], z[o.w]);
                var c = codes[8u * f];
                a0 += c.x * v; a1 += c.y * v; a2 += c.z * v; a3 += c.w * v;
                c = codes[8u * f + 1u];
                a4 += c.x * v; a5 += c.y * v; a6 += c.z * v; a7 += c.w * v;
                c = codes[8u * f + 2u];
                a8 += c.x * v; a9 += c.y * v; a10 += c.z * v; a11 += c.w * v;
                c = codes[8u * f + 3u];
                a12 += c.x * v; a13 += c.y * v; a14 += c.z * v; a15 += c.w * v;
                c = codes[8u * f + 4u];
                a16 += c.x * v; a17 += c.y * v; a18 += c.z * v; a19 += c.w * v;
                c = codes[8u * f + 5u];
                a20 += c.x * v; a21 += c.y * v; a22 += c.z * v; a23 += c.w * v;
                c = codes[8u * f + 6u];
                a24 += c.x * v; a25 += c.y * v; a26 += c.z * v; a27 += c.w * v;
                c = codes[8u * f + 7u];
                a28 += c.x * v; a29 += c.y * v; a30 += c.z * v; a31 += c.w * v;
            }
        }
        compare(&best, k, used, a0); compare(&best, k + 1u, used, a1);
        compare(&best, k + 2u, used, a2); compare(&best, k + 3u, used, a3);
        compare(&best, k + 4u, used, a4); compare(&best, k + 5u, used, a5);
        compare(&best, k + 6u, used, a6); compare(&best, k + 7u, used, a7);
        compare(&best, k + 8u, used, a8); compare(&best, k + 9u, used, a9);
        compare(&best, k + 10u, used, a10); compare(&best, k + 11u, used, a11);
        compare(&best, k + 12u, used, a12); compare(&best, k + 13u, used, a13);
        compare(&best, k + 14u, used, a14); compare(&best, k + 15u, used, a15);
        compare(&best, k + 16u, used, a16); compare(&best, k + 17u, used, a17);
        compare(&best, k + 18u, used, a18); compare(&best, k + 19u, used, a19);
        compare(&best, k + 20u, used, a20); compare(&best, k + 21u, used, a21);
        compare(&best, k + 22u, used, a22); compare(&best, k + 23u, used, a23);
        compare(&best, k + 24u, used, a24); compare(&best, k + 25u, used, a25);
        compare(&best, k + 26u, used, a26); compare(&best, k + 27u, used, a27);
        compare(&best, k + 28u, used, a28); compare(&best, k + 29u, used, a29);
        compare(&best, k + 30u, used, a30); compare(&best, k + 31u, used, a31);
    }
    if (n < params.count) { q[n] = best.index.x; }
    if (n + 1u < params.count) { q[n + 1u] = best.index.y; }
    if (n + 2u < params.count) { q[n + 2u] = best.index.z; }
    if (n + 3u < params.count) { q[n + 3u] = best.index.w; }
}
