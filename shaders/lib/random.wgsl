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

// An index below `count`, at most 2^24.
fn random_below(stream: u32, index: u32, count: u32) -> u32 {
    return min(u32(unit(random_words(stream, index).x) * f32(count)), count - 1u);
}
