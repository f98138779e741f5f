// Counter-based random numbers: a function of (seed, step, stream, index), the same on every
// adapter; the twin of `Stream` in src/rng.rs. A file that uses it
// has the slots `step`, `seed_low` and `seed_high` of the step.

fn pcg4d(start: vec4<u32>) -> vec4<u32> {
    var v = start * 1664525u + 1013904223u;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    v ^= v >> vec4(16u);
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    return v;
}

// Four random words: element `index` of the stream's part for this step.
fn random_words(stream: u32, index: u32) -> vec4<u32> {
    let key = pcg4d(vec4(step.seed_low, step.seed_high, stream, step.step));
    return pcg4d(vec4(key.xyz, index));
}

// The top 24 bits as a number in [0, 1).
fn unit(word: u32) -> f32 {
    return f32(word >> 8u) / 16777216.0;
}

// Standard normal (Box-Muller).
fn random_normal(stream: u32, index: u32) -> f32 {
    let words = random_words(stream, index);
    return sqrt(-2.0 * log(1.0 - unit(words.x))) * cos(6.283185307 * unit(words.y));
}

// Element `index` of a random order of 0..count, at most 2^24; behind its last element another order
// begins. Each round is one to one on the numbers of as many bits, and what is not below `count` goes
// through it again, which leaves the map one to one: one step in two, at least, ends.
fn random_distinct(stream: u32, index: u32, count: u32) -> u32 {
    let lap = index / count;
    let a = random_words(stream, 2u * lap);
    let b = random_words(stream, 2u * lap + 1u);
    let bits = max(32u - countLeadingZeros(count - 1u), 1u);
    let mask = (1u << bits) - 1u;
    let half = (bits + 1u) / 2u;
    var n = index % count;
    for (var i = 0u; i < 64u; i++) {
        n = ((n ^ a.x) * (a.y | 1u)) & mask;
        n ^= n >> half;
        n = ((n ^ a.z) * (a.w | 1u)) & mask;
        n ^= n >> half;
        n = ((n ^ b.x) * (b.y | 1u)) & mask;
        n ^= n >> half;
        n = ((n ^ b.z) * (b.w | 1u)) & mask;
        n ^= n >> half;
        if (n < count) { break; }
    }
    return min(n, count - 1u);
}

// An index below `count`, at most 2^24.
fn random_below(stream: u32, index: u32, count: u32) -> u32 {
    return min(u32(unit(random_words(stream, index).x) * f32(count)), count - 1u);
}
