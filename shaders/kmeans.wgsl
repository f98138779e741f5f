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

struct Step {
    step: u32,                  // centroids so far
    seed_low: u32,
    seed_high: u32,
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
@group(0) @binding(15) var<uniform> step: Step;

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

var<workgroup> sums: array<f32, 257>;           // exclusive, of the blocks of each thread

// Blocks of a thread, one after the other.
fn blocks_of_thread() -> u32 {
    return (params.blocks + 255u) / 256u;
}

// Candidates: the row where the running sum of d^2 passes a random share of the total. One workgroup;
// each thread adds up some blocks, then a thread a candidate looks through thread, block and row.
@compute @workgroup_size(256)
fn draw(@builtin(local_invocation_index) local: u32) {
    let each = blocks_of_thread();
    var mine = 0.0;
    for (var b = local * each; b < min((local + 1u) * each, params.blocks); b++) { mine += block_sums_in[b]; }
    sums[local + 1u] = mine;
    workgroupBarrier();
    if (local == 0u) {
        sums[0] = 0.0;
        for (var i = 1u; i <= 256u; i++) { sums[i] += sums[i - 1u]; }
    }
    workgroupBarrier();
    if (local >= params.trials) { return; }
    let at = unit(random_words(params.stream, local).x) * sums[256];
    var thread = 0u;
    while (thread < 255u && sums[thread + 1u] <= at) { thread += 1u; }
    var sum = sums[thread];
    let last = min((thread + 1u) * each, params.blocks) - 1u;
    var block = min(thread * each, params.blocks - 1u);
    while (block < last && sum + block_sums_in[block] <= at) {
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

// For each candidate and block, a workgroup each: the sum of d^2 if it became a centroid.
@compute @workgroup_size(256)
fn try_candidates(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups);
    if (item >= params.trials * params.blocks) { return; }
    let n = item % params.blocks * 256u + local;
    var d = 0.0;
    if (n < params.count) { d = min(nearest_in[n], square(n, candidates_in[item / params.blocks])); }
    let sum = workgroup_sum(local, d);
    if (local == 0u) { potentials[item] = sum; }
}

// The candidate with the least sum, the first of equals. One workgroup.
@compute @workgroup_size(256)
fn choose(@builtin(local_invocation_index) local: u32) {
    var best = FAR;
    for (var j = 0u; j < params.trials; j++) {
        var mine = 0.0;
        for (var b = local; b < params.blocks; b += 256u) { mine += potentials_in[j * params.blocks + b]; }
        let sum = workgroup_sum(local, mine);
        if (local == 0u && (j == 0u || sum < best)) {
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
