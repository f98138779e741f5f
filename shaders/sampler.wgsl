// sampler: sequences that grow by a code a step.
//
// `remember` puts q, k and v of the position where they belong among those of the sequence. `draw` draws the code of the
// position: of those that it can have the `most` likeliest (and those that are as likely as the last of them), each with a
// chance that goes with exp(x / temperature), by Gumbel noise; at temperature 0 the likeliest, of equal ones the lowest.

struct Params {
    sequences: u32,             // B
    length: u32,                // L, positions of a sequence
    size: u32,                  // numbers of a row: of q, k and v, or of codes
    stream: u32,                // of the random numbers
}

struct Step {
    position: u32,
    most: u32,                  // how many codes are drawn from, at least 1
    temperature: f32,
    part: u32,                  // the number of the first sequence among all that are drawn
    step: u32,                  // position + 1
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> row: array<f32>;               // [B, size]
@group(0) @binding(2) var<storage, read_write> all: array<f32>;         // [B, L, size]
@group(0) @binding(3) var<storage, read> ranges: array<u32>;            // [L, 2] the first code, and how many
@group(0) @binding(4) var<storage, read_write> last: array<u32>;        // [B] the code of the position
@group(0) @binding(5) var<storage, read_write> codes: array<u32>;       // [B, L]
@group(0) @binding(15) var<uniform> step: Step;

@compute @workgroup_size(64)
fn remember(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.sequences * params.size) { return; }
    let b = item / params.size;
    all[(b * params.length + step.position) * params.size + item % params.size] = row[item];
}

var<workgroup> counts: array<u32, 256>;
var<workgroup> values: array<f32, 256>;
var<workgroup> indices: array<u32, 256>;

// A number as an integer of the same order.
fn ordered(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);
}

// Every thread must call it; every thread gets the sum.
fn total(local: u32, count: u32) -> u32 {
    workgroupBarrier();
    counts[local] = count;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) { counts[local] += counts[local + half]; }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&counts[0]);
}

// Standard Gumbel noise of code k of sequence b.
fn gumbel(b: u32, k: u32) -> f32 {
    let words = random_words(params.stream, (step.part + b) * params.size + k);
    let u = (f32(words.x >> 9u) + 0.5) / 8388608.0;
    let series = u * (1.0 + u * (0.5 + u * (0.33333333 + u * (0.25 + u * 0.2))));
    return -log(select(-log(1.0 - u), series, u < 0.0625));
}

// A sequence a workgroup.
@compute @workgroup_size(256)
fn draw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let b = linear_group(group, groups);
    if (b >= params.sequences) { return; }
    let first = ranges[2u * step.position];
    let count = ranges[2u * step.position + 1u];
    let begin = b * params.size + first;
    // The greatest threshold that at least `most` codes reach, bit by bit from the highest.
    var threshold = 0u;
    if (step.most < count) {
        for (var bit = 0u; bit < 32u; bit++) {
            let trial = threshold | (0x80000000u >> bit);
            var reached = 0u;
            for (var k = local; k < count; k += 256u) { reached += u32(ordered(row[begin + k]) >= trial); }
            if (total(local, reached) >= step.most) { threshold = trial; }
        }
    }
    var best = 0.0;
    var index = count;
    for (var k = local; k < count; k += 256u) {
        let value = row[begin + k];
        if (ordered(value) < threshold) { continue; }
        var key = value;
        if (step.temperature > 0.0) { key = value / step.temperature + gumbel(b, first + k); }
        if (index == count || key > best) {
            best = key;
            index = k;
        }
    }
    values[local] = best;
    indices[local] = index;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            let other = indices[local + half];
            let own = indices[local];
            let value = values[local + half];
            let better = value > values[local] || (value == values[local] && other < own);
            if (other < count && (own == count || better)) {
                values[local] = value;
                indices[local] = other;
            }
        }
        workgroupBarrier();
    }
    if (local == 0u) {
        // Where nothing is a number, the first code: the pictures are checked.
        let code = first + select(indices[0], 0u, indices[0] == count);
        last[b] = code;
        codes[b * params.length + step.position] = code;
    }
}
