// usage: how the codes are used, by a batch and by the last epoch's worth of vectors.
//
//   perplexity  exp(-sum p log(p + 1e-7))       active  100 #{p > 0} / K
//
// The window of an epoch is a ring of counts by steps, or by a few steps where an epoch has more than
// the ring has places.

const BUCKETS: u32 = 64u;

struct Params {
    count: u32,
    codes: u32,
}

struct Step {
    step: u32,                  // counts from 1
    epoch_steps: u32,           // of the data, at least 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> counts_in: array<u32>;
@group(0) @binding(4) var<storage, read_write> perplexity: array<f32>;
@group(0) @binding(5) var<storage, read_write> active_ratio: array<f32>;
@group(0) @binding(6) var<storage, read_write> ring: array<f32>;
@group(0) @binding(7) var<storage, read_write> age: array<f32>;
@group(0) @binding(8) var<storage, read_write> window: array<f32>;
@group(0) @binding(9) var<storage, read> window_in: array<f32>;
@group(0) @binding(10) var<storage, read> age_in: array<f32>;
@group(0) @binding(11) var<storage, read_write> age_mean: array<f32>;
@group(0) @binding(12) var<storage, read_write> age_max: array<f32>;
@group(0) @binding(13) var<storage, read> squares: array<f32>;
@group(0) @binding(14) var<storage, read_write> bad: array<f32>;
@group(0) @binding(16) var<storage, read_write> top_share: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;

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
    var most = 0.0;
    for (var k = local; k < params.codes; k += 256u) {
        let p = f32(counts_in[k]) / f32(params.count);
        entropy -= p * log(p + 1e-7);
        if (p > 0.0) { used += 1.0; }
        most = max_or_nan(most, p);
    }
    let total_entropy = workgroup_sum(local, entropy);
    let total_used = workgroup_sum(local, used);
    let greatest = workgroup_max(local, most);
    if (local == 0u) {
        perplexity[0] = exp(total_entropy);
        active_ratio[0] = 100.0 * total_used / f32(params.codes);
        top_share[0] = 100.0 * greatest;
    }
}

// A thread a code: its age (steps since it was used last) and its count over the window.
@compute @workgroup_size(64)
fn track(@builtin(global_invocation_id) id: vec3<u32>) {
    let k = id.x;
    if (k >= params.codes) { return; }
    let epoch = max(step.epoch_steps, 1u);
    let steps = (epoch + BUCKETS - 1u) / BUCKETS;      // of a place of the ring
    let number = (epoch + steps - 1u) / steps;         // places of an epoch
    let now = max(step.step, 1u) - 1u;
    let place = (now / steps) % BUCKETS;
    let at = place * params.codes + k;
    let n = f32(counts_in[k]);
    age[k] = select(age[k] + 1.0, 0.0, n > 0.0);
    ring[at] = select(ring[at], 0.0, now % steps == 0u) + n;
    var sum = 0.0;
    for (var i = 0u; i < number; i++) {
        sum += ring[(place + BUCKETS - i) % BUCKETS * params.codes + k];
    }
    window[k] = sum;
}

@compute @workgroup_size(256)
fn summarize_window(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var k = local; k < params.codes; k += 256u) { sum += window_in[k]; }
    let total = workgroup_sum(local, sum);
    var entropy = 0.0;
    var used = 0.0;
    var ages = 0.0;
    var oldest = 0.0;
    for (var k = local; k < params.codes; k += 256u) {
        let p = window_in[k] / total;
        entropy -= p * log(p + 1e-7);
        if (p > 0.0) { used += 1.0; }
        ages += age_in[k];
        oldest = max_or_nan(oldest, age_in[k]);
    }
    let total_entropy = workgroup_sum(local, entropy);
    let total_used = workgroup_sum(local, used);
    let total_ages = workgroup_sum(local, ages);
    let greatest = workgroup_max(local, oldest);
    if (local == 0u) {
        perplexity[0] = exp(total_entropy);
        active_ratio[0] = 100.0 * total_used / f32(params.codes);
        age_mean[0] = total_ages / f32(params.codes);
        age_max[0] = greatest;
    }
}

// Vectors whose squared distance is no finite number; by its bits, since compilers may assume that
// there are no such numbers.
@compute @workgroup_size(256)
fn count_bad(@builtin(local_invocation_index) local: u32) {
    var mine = 0.0;
    for (var n = local; n < params.count; n += 256u) {
        if (!is_finite(squares[n])) { mine += 1.0; }
    }
    let total = workgroup_sum(local, mine);
    if (local == 0u) { bad[0] = total; }
}
