// sum: out = scale * sum of all parts; the second stage of every scalar.

struct Params {
    count: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn sum(@builtin(local_invocation_index) local: u32) {
    var part = 0.0;
    for (var i = local; i < params.count; i += 256u) { part += parts[i]; }
    let total = workgroup_sum(local, part);
    if (local == 0u) { out[0] = params.scale * total; }
}
