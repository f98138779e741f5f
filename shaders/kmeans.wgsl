// kmeans: the seeding of k-means++ (Arthur and Vassilvitskii 2007), greedy: each centroid is the best
// of a few candidates, drawn with weight d^2. `step.step` is the number of centroids so far.
//
// Rows lie one after the other. A block is the 256 rows of a workgroup; sums run over blocks in a
// fixed order.

const MAX_TRIALS: u32 = 16u;
const FAR: f32 = 3.4e38;

struct Params {
    count: u32,                 // N
    features: u32,              // F
    blocks: u32,
    trials: u32,                // candidates a centroid, at most MAX_TRIALS
    stream: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> nearest: array<f32>;
@group(0) @binding(3) var<storage, read> nearest_in: array<f32>;
@group(0) @binding(4) var<storage, read_write> block_sums: array<f32>;
@group(0) @binding(5) var<storage, read> block_sums_in: array<f32>;
@group(0) @binding(6) var<storage, read_write> candidates: array<u32>;
@group(0) @binding(7) var<storage, read> candidates_in: array<u32>;
@group(0) @binding(8) var<storage, read_write> potentials: array<f32>;
@group(0) @binding(9) var<storage, read> potentials_in: array<f32>;
@group(0) @binding(10) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(11) var<storage, read> chosen_in: array<u32>;
@group(0) @binding(12) var<storage, read_write> centroids: array<f32>;

fn square(n: u32, other: u32) -> f32 {
    var sum = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let e = rows[n * params.features + f] - rows[other * params.features + f];
        sum += e * e;
    }
    return sum;
}

// The first centroid: any row.
@compute @workgroup_size(1)
fn first() {
    chosen[0] = random_below(params.stream, 0u, params.count);
}

// Candidates: the row where the running sum of d^2 passes a random share of the total.
@compute @workgroup_size(16)
fn draw(@builtin(local_invocation_index) local: u32) {
    if (local >= params.trials) { return; }
    var total = 0.0;
    for (var b = 0u; b < params.blocks; b++) { total += block_sums_in[b]; }
    let at = unit(random_words(params.stream, local).x) * total;
    var sum = 0.0;
    var block = 0u;
    while (block + 1u < params.blocks && sum + block_sums_in[block] <= at) {
        sum += block_sums_in[block];
        block += 1u;
    }
    // Rounding may carry `at` beyond the block's own sum: then its last row that is no centroid.
    let end = min((block + 1u) * 256u, params.count);
    var row = block * 256u;
    for (var n = block * 256u; n < end && sum <= at; n++) {
        if (nearest_in[n] > 0.0) { row = n; }
        sum += nearest_in[n];
    }
    candidates[local] = row;
}

// For each candidate and block: the sum of d^2 if it became a centroid.
@compute @workgroup_size(256)
fn try_candidates(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let block = linear_group(group, groups);
    if (block >= params.blocks) { return; }
    let n = block * 256u + local;
    for (var j = 0u; j < params.trials; j++) {
        var d = 0.0;
        if (n < params.count) { d = min(nearest_in[n], square(n, candidates_in[j])); }
        let sum = workgroup_sum(local, d);
        if (local == 0u) { potentials[j * params.blocks + block] = sum; }
    }
}

// The candidate with the least sum, the first of equals.
@compute @workgroup_size(1)
fn choose() {
    var best = FAR;
    for (var j = 0u; j < params.trials; j++) {
        var sum = 0.0;
        for (var b = 0u; b < params.blocks; b++) { sum += potentials_in[j * params.blocks + b]; }
        if (j == 0u || sum < best) {
            best = sum;
            chosen[0] = candidates_in[j];
        }
    }
}

// It becomes a centroid: its row is copied, and d^2 of all rows brought up to date.
@compute @workgroup_size(256)
fn accept(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let block = linear_group(group, groups);
    if (block >= params.blocks) { return; }
    let n = block * 256u + local;
    let row = chosen_in[0];
    var d = 0.0;
    if (n < params.count) {
        d = square(n, row);
        if (step.step > 0u) { d = min(d, nearest[n]); }
        nearest[n] = d;
    }
    let sum = workgroup_sum(local, d);
    if (local == 0u) { block_sums[block] = sum; }
    if (block == 0u) {
        for (var f = local; f < params.features; f += 256u) {
            centroids[step.step * params.features + f] = rows[row * params.features + f];
        }
    }
}

// d^2 of each row to its centroid.
@compute @workgroup_size(256)
fn distances(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 256u + local;
    if (n >= params.count) { return; }
    var sum = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let e = rows[n * params.features + f] - centroids[candidates_in[n] * params.features + f];
        sum += e * e;
    }
    nearest[n] = sum;
}
