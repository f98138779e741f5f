// The posterior of vectors over codes: its sizes, and the variance of each value. Needs lib/vectors.wgsl.

struct Params {
    count: u32,                 // N
    features: u32,              // F
    positions: u32,             // z is [B, F, positions], n = b * positions + s
    codes: u32,                 // K
    first: u32,                 // the first row of the chunk
    rows: u32,                  // R
    columns: u32,               // of X and Y
    parts: u32,                 // into which the codes of a row are cut
    shared_by: u32,             // vectors that have one variance
    scale: f32,                 // weight of the loss / B
    above: f32,                 // 1 where a gradient comes from above
    stream: u32,                // of the random numbers
    length: u32,                // of a tensor that is summed
}

// One variance a channel; directions in place of points; codes are drawn, in training.
override CHANNELS: bool = false;
override DIRECTIONS: bool = false;
override DRAWN: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
// v: of all vectors, each image, each vector, or each value
@group(0) @binding(2) var<storage, read> base: array<f32>;
// s
@group(0) @binding(3) var<storage, read> spread: array<f32>;

// Where v of value f of vector n stands.
fn place(n: u32, f: u32) -> u32 {
    if (CHANNELS) { return element(n, f); }
    return n / params.shared_by;
}

fn variance(n: u32, f: u32) -> f32 {
    return max(base[place(n, f)] + exp(spread[0]), 1e-10);
}

// w; of directions what z is multiplied by.
fn weight(n: u32, f: u32) -> f32 {
    if (DIRECTIONS) { return variance(n, f); }
    return 0.5 / variance(n, f);
}
