// search_wide: the search of search.wgsl for adapters that run on a CPU, where a load costs several
// multiply-adds and there is no register file to fill: a thread keeps sixteen vectors against thirty-two
// codes. On a GPU so many accumulators would spill.

// Whether four neighbouring vectors lie side by side, so that one load fetches a feature of all four.
override ALIGNED: bool = false;

@group(0) @binding(11) var<storage, read> z_by_four: array<vec4<f32>>;

const THREADS: u32 = 32u;

// Of sixteen vectors: four a column.
struct Best {
    value: mat4x4<f32>,
    second: mat4x4<f32>,
    index: array<vec4<u32>, 4>,
}

fn compare(best: ptr<function, Best>, k: u32, values: mat4x4<f32>) {
    let closer0 = values[0] > (*best).value[0];
    let near0 = values[0] > (*best).second[0];
    (*best).second[0] = select(select((*best).second[0], values[0], near0), (*best).value[0], closer0);
    (*best).value[0] = select((*best).value[0], values[0], closer0);
    (*best).index[0] = select((*best).index[0], vec4(k), closer0);
    let closer1 = values[1] > (*best).value[1];
    let near1 = values[1] > (*best).second[1];
    (*best).second[1] = select(select((*best).second[1], values[1], near1), (*best).value[1], closer1);
    (*best).value[1] = select((*best).value[1], values[1], closer1);
    (*best).index[1] = select((*best).index[1], vec4(k), closer1);
    let closer2 = values[2] > (*best).value[2];
    let near2 = values[2] > (*best).second[2];
    (*best).second[2] = select(select((*best).second[2], values[2], near2), (*best).value[2], closer2);
    (*best).value[2] = select((*best).value[2], values[2], closer2);
    (*best).index[2] = select((*best).index[2], vec4(k), closer2);
    let closer3 = values[3] > (*best).value[3];
    let near3 = values[3] > (*best).second[3];
    (*best).second[3] = select(select((*best).second[3], values[3], near3), (*best).value[3], closer3);
    (*best).value[3] = select((*best).value[3], values[3], closer3);
    (*best).index[3] = select((*best).index[3], vec4(k), closer3);
}

fn all_of(value: f32) -> mat4x4<f32> {
    let column = vec4(value);
    return mat4x4(column, column, column, column);
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
    let far = vec4(-FAR);
    let none = vec4(0u);
    var best = Best(mat4x4(far, far, far, far), mat4x4(far, far, far, far), array(none, none, none, none));
    if (params.first > 0u) {
        let l0 = leads_of(n);
        let l1 = leads_of(n + STEP);
        let l2 = leads_of(n + 2u * STEP);
        let l3 = leads_of(n + 3u * STEP);
        best = Best(
            mat4x4(l0.value, l1.value, l2.value, l3.value),
            mat4x4(l0.second, l1.second, l2.second, l3.second),
            array(l0.index, l1.index, l2.index, l3.index));
    }
    let used = u32(offsets[params.codes]);
    let end = min(used, params.end);
    for (var k = params.first; k < end; k += BLOCK) {
        var a0 = all_of(start_of(k + 0u, used)); var a1 = all_of(start_of(k + 1u, used));
        var a2 = all_of(start_of(k + 2u, used)); var a3 = all_of(start_of(k + 3u, used));
        var a4 = all_of(start_of(k + 4u, used)); var a5 = all_of(start_of(k + 5u, used));
        var a6 = all_of(start_of(k + 6u, used)); var a7 = all_of(start_of(k + 7u, used));
        var a8 = all_of(start_of(k + 8u, used)); var a9 = all_of(start_of(k + 9u, used));
        var a10 = all_of(start_of(k + 10u, used)); var a11 = all_of(start_of(k + 11u, used));
        var a12 = all_of(start_of(k + 12u, used)); var a13 = all_of(start_of(k + 13u, used));
        var a14 = all_of(start_of(k + 14u, used)); var a15 = all_of(start_of(k + 15u, used));
        var a16 = all_of(start_of(k + 16u, used)); var a17 = all_of(start_of(k + 17u, used));
        var a18 = all_of(start_of(k + 18u, used)); var a19 = all_of(start_of(k + 19u, used));
        var a20 = all_of(start_of(k + 20u, used)); var a21 = all_of(start_of(k + 21u, used));
        var a22 = all_of(start_of(k + 22u, used)); var a23 = all_of(start_of(k + 23u, used));
        var a24 = all_of(start_of(k + 24u, used)); var a25 = all_of(start_of(k + 25u, used));
        var a26 = all_of(start_of(k + 26u, used)); var a27 = all_of(start_of(k + 27u, used));
        var a28 = all_of(start_of(k + 28u, used)); var a29 = all_of(start_of(k + 29u, used));
        var a30 = all_of(start_of(k + 30u, used)); var a31 = all_of(start_of(k + 31u, used));
        // Carried along the loop: made from a start and f, some compilers divide for the start again at
        // each feature.
        var p0 = at0; var p1 = at1; var p2 = at2; var p3 = at3;
        for (var first = 0u; first < params.features; first += CHUNK) {
            let features = load_codes(k, first, local);
            for (var f = 0u; f < features; f++) {
                let v = mat4x4(load(p0), load(p1), load(p2), load(p3));
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
                p0 += params.positions; p1 += params.positions; p2 += params.positions; p3 += params.positions;
            }
        }
        compare(&best, k + 0u, a0); compare(&best, k + 1u, a1); compare(&best, k + 2u, a2); compare(&best, k + 3u, a3);
        compare(&best, k + 4u, a4); compare(&best, k + 5u, a5); compare(&best, k + 6u, a6); compare(&best, k + 7u, a7);
        compare(&best, k + 8u, a8); compare(&best, k + 9u, a9); compare(&best, k + 10u, a10); compare(&best, k + 11u, a11);
        compare(&best, k + 12u, a12); compare(&best, k + 13u, a13); compare(&best, k + 14u, a14); compare(&best, k + 15u, a15);
        compare(&best, k + 16u, a16); compare(&best, k + 17u, a17); compare(&best, k + 18u, a18); compare(&best, k + 19u, a19);
        compare(&best, k + 20u, a20); compare(&best, k + 21u, a21); compare(&best, k + 22u, a22); compare(&best, k + 23u, a23);
        compare(&best, k + 24u, a24); compare(&best, k + 25u, a25); compare(&best, k + 26u, a26); compare(&best, k + 27u, a27);
        compare(&best, k + 28u, a28); compare(&best, k + 29u, a29); compare(&best, k + 30u, a30); compare(&best, k + 31u, a31);
    }
    // By name: an index that varies would keep all of them in memory.
    keep4(n, Leads(best.value[0], best.second[0], best.index[0]));
    keep4(n + STEP, Leads(best.value[1], best.second[1], best.index[1]));
    keep4(n + 2u * STEP, Leads(best.value[2], best.second[2], best.index[2]));
    keep4(n + 3u * STEP, Leads(best.value[3], best.second[3], best.index[3]));
}
