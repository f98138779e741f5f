// search: q[n] = argmin_k |z_n - C_k|^2, the lowest k on a tie; the N by K distances are never
// stored. See lib/search.wgsl for what is computed.
// A thread keeps four vectors against thirty-two codes; the codes stand in workgroup memory.

@group(0) @binding(2) var<storage, read_write> centered_out: array<f32>;
@group(0) @binding(3) var<storage, read_write> offsets_out: array<f32>;
// their number, then the doubtful vectors [N]
@group(0) @binding(8) var<storage, read_write> doubtful: array<atomic<u32>>;
@group(0) @binding(10) var<storage, read> limit: array<u32>;

const THREADS: u32 = 64u;

// An eighth of feature f of the code at so many eighths of those in use; of numbers only.
fn eighth(f: u32, used: u32, eighths: u32) -> f32 {
    let value = codebook[eighths * used / 8u * params.features + f];
    return select(0.0, 0.125 * value, is_finite(value));
}

// Feature f of the centre: the mean of eight codes.
fn center_of(f: u32, used: u32) -> f32 {
    return eighth(f, used, 0u) + eighth(f, used, 1u) + eighth(f, used, 2u) + eighth(f, used, 3u)
        + eighth(f, used, 4u) + eighth(f, used, 5u) + eighth(f, used, 6u) + eighth(f, used, 7u);
}

fn clear(to: u32) {
    for (var f = 0u; f < params.features; f++) { centered_out[to + BLOCK * f] = 0.0; }
}

// As PyTorch's argmin has it, a code with a NaN is nearer than any other; one that is infinite is
// never near.
fn prepare(k: u32, used: u32) {
    // Feature f stands at `to + BLOCK * f`.
    let to = k / BLOCK * BLOCK * params.features + k % BLOCK;
    if (k >= params.codes) {
        if (k / BLOCK <= (params.codes - 1u) / BLOCK) { clear(to); }
        return;
    }
    let row = k * params.features;
    var squares = 0.0;
    var along = 0.0;
    var lengths = 0.0;
    var has_nan = false;
    for (var f = 0u; f < params.features; f++) {
        let value = codebook[row + f];
        let m = center_of(f, used);
        let c = value - m;
        centered_out[to + BLOCK * f] = c;
        squares += c * c;
        along += m * c;
        lengths += m * m;
        has_nan = has_nan || is_nan(value);
        if (k == 0u) { offsets_out[params.codes + 2u + f] = m; }
    }
    let start = -0.5 * squares - along;
    if (has_nan || !is_finite(start)) {
        clear(to);
        offsets_out[k] = select(-FAR, FAR, has_nan);
    } else {
        offsets_out[k] = start;
    }
    if (k == 0u) {
        offsets_out[params.codes] = f32(used);
        offsets_out[params.codes + 1u] = sqrt(lengths);
        atomicStore(&doubtful[0], 0u);
    }
}

// c' and where a_k starts.
@compute @workgroup_size(64)
fn norms(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    prepare(linear_group(group, groups) * 64u + local, params.codes);
}

// The same for the first `limit[0]` codes only.
@compute @workgroup_size(64)
fn norms_of_first(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    prepare(linear_group(group, groups) * 64u + local, min(limit[0], params.codes));
}

fn compare(best: ptr<function, Leads>, k: u32, values: vec4<f32>) {
    let closer = values > (*best).value;
    (*best).second = select(max((*best).second, values), (*best).value, closer);
    (*best).value = select((*best).value, values, closer);
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
    var best = Leads(vec4(-FAR), vec4(-FAR), vec4(0u));
    if (params.first > 0u) { best = leads_of(n); }
    let used = u32(offsets[params.codes]);
    let end = min(used, params.end);
    for (var k = params.first; k < end; k += BLOCK) {
        var a0 = vec4(start_of(k + 0u, used)); var a1 = vec4(start_of(k + 1u, used));
        var a2 = vec4(start_of(k + 2u, used)); var a3 = vec4(start_of(k + 3u, used));
        var a4 = vec4(start_of(k + 4u, used)); var a5 = vec4(start_of(k + 5u, used));
        var a6 = vec4(start_of(k + 6u, used)); var a7 = vec4(start_of(k + 7u, used));
        var a8 = vec4(start_of(k + 8u, used)); var a9 = vec4(start_of(k + 9u, used));
        var a10 = vec4(start_of(k + 10u, used)); var a11 = vec4(start_of(k + 11u, used));
        var a12 = vec4(start_of(k + 12u, used)); var a13 = vec4(start_of(k + 13u, used));
        var a14 = vec4(start_of(k + 14u, used)); var a15 = vec4(start_of(k + 15u, used));
        var a16 = vec4(start_of(k + 16u, used)); var a17 = vec4(start_of(k + 17u, used));
        var a18 = vec4(start_of(k + 18u, used)); var a19 = vec4(start_of(k + 19u, used));
        var a20 = vec4(start_of(k + 20u, used)); var a21 = vec4(start_of(k + 21u, used));
        var a22 = vec4(start_of(k + 22u, used)); var a23 = vec4(start_of(k + 23u, used));
        var a24 = vec4(start_of(k + 24u, used)); var a25 = vec4(start_of(k + 25u, used));
        var a26 = vec4(start_of(k + 26u, used)); var a27 = vec4(start_of(k + 27u, used));
        var a28 = vec4(start_of(k + 28u, used)); var a29 = vec4(start_of(k + 29u, used));
        var a30 = vec4(start_of(k + 30u, used)); var a31 = vec4(start_of(k + 31u, used));
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
        compare(&best, k + 0u, a0); compare(&best, k + 1u, a1);
        compare(&best, k + 2u, a2); compare(&best, k + 3u, a3);
        compare(&best, k + 4u, a4); compare(&best, k + 5u, a5);
        compare(&best, k + 6u, a6); compare(&best, k + 7u, a7);
        compare(&best, k + 8u, a8); compare(&best, k + 9u, a9);
        compare(&best, k + 10u, a10); compare(&best, k + 11u, a11);
        compare(&best, k + 12u, a12); compare(&best, k + 13u, a13);
        compare(&best, k + 14u, a14); compare(&best, k + 15u, a15);
        compare(&best, k + 16u, a16); compare(&best, k + 17u, a17);
        compare(&best, k + 18u, a18); compare(&best, k + 19u, a19);
        compare(&best, k + 20u, a20); compare(&best, k + 21u, a21);
        compare(&best, k + 22u, a22); compare(&best, k + 23u, a23);
        compare(&best, k + 24u, a24); compare(&best, k + 25u, a25);
        compare(&best, k + 26u, a26); compare(&best, k + 27u, a27);
        compare(&best, k + 28u, a28); compare(&best, k + 29u, a29);
        compare(&best, k + 30u, a30); compare(&best, k + 31u, a31);
    }
    keep4(n, best);
}
