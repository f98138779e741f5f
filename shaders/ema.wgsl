// ema: the codebook as exponential moving average of the vectors of its codes.
//
//   N_k <- decay N_k + (1 - decay) n_k          S_k = (N_k + eps) / (sum N + K eps) * sum N
//   C_k <- (decay C_k S_k(before) + (1 - decay) sums_k) / S_k(after)
//
// C_k S_k is the running sum of the vectors, so it needs no buffer of its own, and a codebook that is
// changed from outside (a replaced code, say) takes its running sum along.

struct Params {
    codes: u32,                 // K
    features: u32,              // F
    decay: f32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> sizes: array<f32>;
@group(0) @binding(3) var<storage, read_write> smoothed: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> smoothed_in: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> codebook: array<f32>;

fn smooth_size(size: f32, total: f32) -> f32 {
    return (size + params.eps) / (total + f32(params.codes) * params.eps) * total;
}

// One workgroup: the cluster sizes, and S before and after.
@compute @workgroup_size(256)
fn track(@builtin(local_invocation_index) local: u32) {
    var old = 0.0;
    var now = 0.0;
    for (var k = local; k < params.codes; k += 256u) {
        let size = sizes[k];
        old += size;
        now += params.decay * size + (1.0 - params.decay) * f32(counts[k]);
    }
    let total_old = workgroup_sum(local, old);
    let total = workgroup_sum(local, now);
    for (var k = local; k < params.codes; k += 256u) {
        let size = sizes[k];
        let new_size = params.decay * size + (1.0 - params.decay) * f32(counts[k]);
        smoothed[k] = vec2(smooth_size(size, total_old), smooth_size(new_size, total));
        sizes[k] = new_size;
    }
}

@compute @workgroup_size(64)
fn move_codes(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.codes * params.features) { return; }
    let s = smoothed_in[item / params.features];
    let sum = params.decay * codebook[item] * s.x + (1.0 - params.decay) * sums[item];
    codebook[item] = sum / s.y;
}
