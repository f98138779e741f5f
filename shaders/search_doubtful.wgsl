// search_doubtful: vectors whose best two codes are nearer to each other than rounding allows to tell are
// put on a list by `judge`, and searched anew by `exact`. See lib/search.wgsl for what a_k is.

// their number, then the doubtful vectors [N]
@group(0) @binding(8) var<storage, read_write> doubtful: array<atomic<u32>>;

const THREADS: u32 = 256u;
const TILE: u32 = 8u;                           // doubtful vectors that a workgroup takes at once

// How far two a_k of a vector may be wrong together. `square` is |z - m|^2.
//
// Sums of F products round by at most (F + 3) u of the sum of their sizes, u = 2^-24, and those are at most
// (|z| + |m| + |c'|/2) |c'|. A code that is the nearest has |c'| <= |z - m| + d, d the distance found.
fn doubt(square: f32, best: f32) -> f32 {
    let share = f32(params.features + 8u) * 1.1920929e-7;
    let near = sqrt(square);
    let lengths = near + 2.0 * offsets[params.codes + 1u];
    let d2 = max(square - 2.0 * best, 0.0);
    let once = near + sqrt(d2);
    let twice = near + sqrt(d2 + share * (square + 2.0 * (lengths + 0.5 * once) * once));
    return share * (lengths + 0.5 * twice) * twice;
}

// Puts a vector whose best two are too near to each other on the list.
@compute @workgroup_size(64)
fn judge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    let at = element(n, 0u);
    var square = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let e = z[at + f * params.positions] - offsets[params.codes + 2u + f];
        square += e * e;
    }
    let lead = leads[n];
    let bound = doubt(square, lead.x);
    if (is_finite(bound) && lead.x - lead.y > bound) { return; }
    atomicStore(&doubtful[1u + atomicAdd(&doubtful[0], 1u)], n);
}

var<workgroup> number: u32;
var<workgroup> nearest: array<atomic<u32>, 8>;  // the least key of each vector
var<workgroup> lowest: array<atomic<u32>, 8>;   // the lowest code that has it

// A sum of squares whose rounding is carried along (Kahan), of each of eight vectors.
struct Squares {
    sum: mat2x4<f32>,
    lost: mat2x4<f32>,
}

fn is_finite4(value: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(value) & vec4(0x7f800000u)) != vec4(0x7f800000u);
}

// The same number in a way that a compiler cannot see through, `first` being 0 here: some, Mesa's for one, take
// (a + b) - a for b, and then nothing is carried along.
fn opaque(value: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(value) ^ vec4(params.first));
}

fn add_square(squares: ptr<function, Squares>, difference: mat2x4<f32>) {
    let part0 = difference[0] * difference[0] - (*squares).lost[0];
    let part1 = difference[1] * difference[1] - (*squares).lost[1];
    let next0 = (*squares).sum[0] + part0;
    let next1 = (*squares).sum[1] + part1;
    let lost0 = (opaque(next0) - (*squares).sum[0]) - part0;
    let lost1 = (opaque(next1) - (*squares).sum[1]) - part1;
    (*squares).sum = mat2x4(next0, next1);
    // Of an infinite sum nothing is lost: infinity less infinity would be NaN.
    (*squares).lost = mat2x4(
        select(vec4(0.0), lost0, is_finite4(next0)), select(vec4(0.0), lost1, is_finite4(next1)));
}

// Where feature 0 of eight vectors stands in z.
struct Places {
    a: vec4<u32>,
    b: vec4<u32>,
}

// Adds the squares of feature f, if there is one, of code k.
fn add_feature(squares: ptr<function, Squares>, at: Places, k: u32, f: u32) {
    let inside = f < params.features;
    let c = codebook[k * params.features + select(0u, f, inside)];
    let o = select(0u, f, inside) * params.positions;
    let v = mat2x4(
        vec4(z[at.a.x + o], z[at.a.y + o], z[at.a.z + o], z[at.a.w + o]),
        vec4(z[at.b.x + o], z[at.b.y + o], z[at.b.z + o], z[at.b.w + o]));
    let code = vec4(c);
    let none = vec4(0.0);
    add_square(squares, mat2x4(select(none, v[0] - code, inside), select(none, v[1] - code, inside)));
}

// Squares in their order as integers, NaN in front.
fn keys_of(squares: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(squares);
    return select(bits + 1u, vec4(0u), (bits & vec4(0x7fffffffu)) > vec4(0x7f800000u));
}

// The doubtful vector at place i of the list, the last one beyond its end.
fn listed(i: u32, total: u32) -> u32 {
    return atomicLoad(&doubtful[1u + min(i, total - 1u)]);
}

fn place(i: u32, total: u32) -> u32 {
    return element(listed(i, total), 0u);
}

// The lowest of the codes that are nearest to vector j.
fn propose(j: u32, key: u32, owner: u32) {
    if (key == atomicLoad(&nearest[j])) { atomicMin(&lowest[j], owner); }
}

// A workgroup takes eight of the doubtful at once, its threads share the codes.
@compute @workgroup_size(256)
fn exact(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    if (local == 0u) { number = atomicLoad(&doubtful[0]); }
    // A variable, because tests/loops.rs bounds it by its name.
    var total = workgroupUniformLoad(&number);
    let used = u32(offsets[params.codes]);
    for (var i = TILE * linear_group(group, groups); i < total; i += TILE * groups.x * groups.y) {
        let at = Places(
            vec4(place(i, total), place(i + 1u, total), place(i + 2u, total), place(i + 3u, total)),
            vec4(place(i + 4u, total), place(i + 5u, total), place(i + 6u, total), place(i + 7u, total)));
        var key0 = vec4(0xffffffffu);
        var key1 = vec4(0xffffffffu);
        var owner0 = vec4(0u);
        var owner1 = vec4(0u);
        for (var k = local; k < used; k += THREADS) {
            var squares = Squares(mat2x4(vec4(0.0), vec4(0.0)), mat2x4(vec4(0.0), vec4(0.0)));
            for (var f = 0u; f < params.features; f += 4u) {
                add_feature(&squares, at, k, f);
                add_feature(&squares, at, k, f + 1u);
                add_feature(&squares, at, k, f + 2u);
                add_feature(&squares, at, k, f + 3u);
            }
            let new0 = keys_of(squares.sum[0]);
            let new1 = keys_of(squares.sum[1]);
            owner0 = select(owner0, vec4(k), new0 < key0);
            owner1 = select(owner1, vec4(k), new1 < key1);
            key0 = min(key0, new0);
            key1 = min(key1, new1);
        }
        if (local < TILE) {
            atomicStore(&nearest[local], 0xffffffffu);
            atomicStore(&lowest[local], 0xffffffffu);
        }
        workgroupBarrier();
        atomicMin(&nearest[0], key0.x); atomicMin(&nearest[1], key0.y);
        atomicMin(&nearest[2], key0.z); atomicMin(&nearest[3], key0.w);
        atomicMin(&nearest[4], key1.x); atomicMin(&nearest[5], key1.y);
        atomicMin(&nearest[6], key1.z); atomicMin(&nearest[7], key1.w);
        workgroupBarrier();
        propose(0u, key0.x, owner0.x); propose(1u, key0.y, owner0.y);
        propose(2u, key0.z, owner0.z); propose(3u, key0.w, owner0.w);
        propose(4u, key1.x, owner1.x); propose(5u, key1.y, owner1.y);
        propose(6u, key1.z, owner1.z); propose(7u, key1.w, owner1.w);
        workgroupBarrier();
        if (local < TILE) { q[listed(i + local, total)] = atomicLoad(&lowest[local]); }
        workgroupBarrier();
    }
}
