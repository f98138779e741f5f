// gather: out[b, p] = scale * byte(images[order[batch_start + b] - first, p]) + shift for the images that
// this page holds; four pixels a thread.

struct Params {
    batch: u32,
    words: u32,                 // pixels of an image / 4
    first: u32,                 // place in the data set of the page's first image
    count: u32,                 // images of the page
    scale: f32,
    shift: f32,
}

struct Step {
    batch_start: u32,           // the batch's first image in the order of the epoch
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
    let image = order[step.batch_start + item / params.words] - params.first;
    // Below the first one it wraps round, and is beyond the last.
    if (image >= params.count) { return; }
    let word = images[image * params.words + item % params.words];
    for (var i = 0u; i < 4u; i++) {
        let byte = f32((word >> (8u * i)) & 255u);
        out[item * 4u + i] = byte * params.scale + params.shift;
    }
}
