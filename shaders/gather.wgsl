// gather: out[b, p] = scale * byte(images[order[batch_start + b] - first, q]) + shift for the images that
// this page holds; four pixels a thread. q is p, or the pixel opposite to it in its row where image b of the
// batch is flipped, as a random bit of (seed, step, epoch_start + b) says; without `flip` none is.

struct Params {
    batch: u32,
    words: u32,                 // pixels of an image / 4
    first: u32,                 // place in the data set of the page's first image
    count: u32,                 // images of the page
    scale: f32,
    shift: f32,
    width: u32,                 // pixels of a row
    flip: u32,                  // 1: every second image is flipped, by chance
    stream: u32,                // of the random numbers
}

struct Step {
    batch_start: u32,           // the batch's first image in the order of the epoch
    epoch_start: u32,           // its place in the epoch, however the images come to the device
    step: u32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> images: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;

@compute @workgroup_size(64)
fn gather(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.batch * params.words) { return; }
    let place = item / params.words;
    let image = order[step.batch_start + place] - params.first;
    // Below the first one it wraps round, and is beyond the last.
    if (image >= params.count) { return; }
    let flipped = params.flip == 1u && random_words(params.stream, step.epoch_start + place).x >> 31u == 1u;
    let first = image * params.words;
    for (var i = 0u; i < 4u; i++) {
        var pixel = item % params.words * 4u + i;
        if (flipped) {
            pixel += params.width - 1u - 2u * (pixel % params.width);
        }
        let byte = f32((images[first + pixel / 4u] >> (8u * (pixel % 4u))) & 255u);
        out[item * 4u + i] = byte * params.scale + params.shift;
    }
}
