// usage: counts of each code, perplexity exp(-sum p log(p + 1e-7)), and the share of codes in use.

struct Params {
    count: u32,
    codes: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> counts_in: array<u32>;
@group(0) @binding(4) var<storage, read_write> perplexity: array<f32>;
@group(0) @binding(5) var<storage, read_write> active_ratio: array<f32>;

@compute @workgroup_size(64)
fn clear(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < params.codes) { atomicStore(&counts[id.x], 0u); }
}

@compute @workgroup_size(64)
fn count(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n < params.count) { atomicAdd(&counts[q[n]], 1u); }
}

@compute @workgroup_size(256)
fn summarize(@builtin(local_invocation_index) local: u32) {
    var entropy = 0.0;
    var used = 0.0;
    for (var k = local; k < params.codes; k += 256u) {
        let p = f32(counts_in[k]) / f32(params.count);
        entropy -= p * log(p + 1e-7);
        if (p > 0.0) { used += 1.0; }
    }
    let total_entropy = workgroup_sum(local, entropy);
    let total_used = workgroup_sum(local, used);
    if (local == 0u) {
        perplexity[0] = exp(total_entropy);
        active_ratio[0] = 100.0 * total_used / f32(params.codes);
    }
}
