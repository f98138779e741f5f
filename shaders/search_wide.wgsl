// search_wide: the search of search.wgsl for adapters that run on a CPU, where a load costs several
// multiply-adds and there is no register file to fill: a thread keeps sixteen vectors against thirty-two
// codes. On a GPU so many accumulators would spill.

// Whether four neighbouring vectors lie side by side, so that one load fetches a feature of all four.
override ALIGNED: bool = false;

struct Params {
    count: u32,                 // N
    features: u32,              // F
    codes: u32,                 // K
    positions: u32,             // vectors of an image; n = b * positions + s, z is [B, F, positions]
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> codebook: array<f32>;
@group(0) @binding(2) var<storage, read> half_norms: array<f32>;
@group(0) @binding(3) var<storage, read> z: array<f32>;
@group(0) @binding(4) var<storage, read> z_by_four: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> q: array<u32>;

const THREADS: u32 = 32u;
const FAR: f32 = 3.4e38;
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

// Of sixteen vectors: four a column.
struct Best {
    distance: mat4x4<f32>,
    index: array<vec4<u32>, 4>,
}

fn compare(best: ptr<function, Best>, k: u32, used: u32, dots: mat4x4<f32>) {
    var norm = FAR;
    if (k < used) { norm = half_norms[k]; }
    for (var i = 0u; i < 4u; i++) {
        let distance = vec4(norm) - dots[i];
        let closer = distance < (*best).distance[i];
        (*best).distance[i] = select((*best).distance[i], distance, closer);
        (*best).index[i] = select((*best).index[i], vec4(k), closer);
    }
}

// Index in z of feature 0 of vectors n to n + 3.
fn start(n: u32) -> vec4<u32> {
    let last = params.count - 1u;
    return vec4(
        element(min(n, last), 0u), element(min(n + 1u, last), 0u),
        element(min(n + 2u, last), 0u), element(min(n + 3u, last), 0u),
    );
}

fn load(at: vec4<u32>) -> vec4<f32> {
    if (ALIGNED) { return z_by_four[at.x / 4u]; }
    return vec4(z[at.x], z[at.y], z[at.z], z[at.w]);
}

@compute @workgroup_size(32)
fn search(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    const STEP: u32 = 4u * THREADS;             // from one column's vectors to the next one's
    let n = linear_group(group, groups) * 4u * STEP + 4u * local;
    let at0 = start(n);
    let at1 = start(n + STEP);
    let at2 = start(n + 2u * STEP);
    let at3 = start(n + 3u * STEP);
    let far = vec4(FAR);
    let none = vec4(0u);
    var best = Best(mat4x4(far, far, far, far), array(none, none, none, none));
    // Behind the norms stands the number of codes to search.
    let used = u32(half_norms[params.codes]);
    for (var k = 0u; k < used; k += BLOCK) {
        var a0 = mat4x4<f32>(); var a1 = mat4x4<f32>(); var a2 = mat4x4<f32>(); var a3 = mat4x4<f32>();
        var a4 = mat4x4<f32>(); var a5 = mat4x4<f32>(); var a6 = mat4x4<f32>(); var a7 = mat4x4<f32>();
        var a8 = mat4x4<f32>(); var a9 = mat4x4<f32>(); var a10 = mat4x4<f32>(); var a11 = mat4x4<f32>();
        var a12 = mat4x4<f32>(); var a13 = mat4x4<f32>(); var a14 = mat4x4<f32>(); var a15 = mat4x4<f32>();
        var a16 = mat4x4<f32>(); var a17 = mat4x4<f32>(); var a18 = mat4x4<f32>(); var a19 = mat4x4<f32>();
        var a20 = mat4x4<f32>(); var a21 = mat4x4<f32>(); var a22 = mat4x4<f32>(); var a23 = mat4x4<f32>();
        var a24 = mat4x4<f32>(); var a25 = mat4x4<f32>(); var a26 = mat4x4<f32>(); var a27 = mat4x4<f32>();
        var a28 = mat4x4<f32>(); var a29 = mat4x4<f32>(); var a30 = mat4x4<f32>(); var a31 = mat4x4<f32>();
        for (var first = 0u; first < params.features; first += CHUNK) {
            let features = load_codes(k, first, local);
            for (var f = 0u; f < features; f++) {
                let o = (first + f) * params.positions;
                let v = mat4x4(load(at0 + o), load(at1 + o), load(at2 + o), load(at3 + o));
                var c = vec4(0.0);
                c = codes[8u * f + 0u];
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
        compare(&best, k + 0u, used, a0); compare(&best, k + 1u, used, a1);
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
    for (var i = 0u; i < 4u; i++) {
        for (var j = 0u; j < 4u; j++) {
            let vector = n + i * STEP + j;
            if (vector < params.count) { q[vector] = best.index[i][j]; }
        }
    }
}
