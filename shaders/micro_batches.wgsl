// micro_batches: what the parts of a batch leave, added up in their order; behind the last one scale * sum takes the
// place of its own value.

struct Params {
    count: u32,
    parts: u32,
    scale: f32,
}

struct Step {
    part: u32,                  // from 0
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> value: array<f32>;
@group(0) @binding(2) var<storage, read_write> total: array<f32>;
@group(0) @binding(3) var<storage, read_write> number: array<u32>;
@group(0) @binding(4) var<storage, read_write> total_number: array<u32>;
@group(0) @binding(15) var<uniform> step: Step;

@compute @workgroup_size(256)
fn add_values(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i >= params.count) { return; }
    var sum = value[i];
    if (step.part > 0u) { sum += total[i]; }
    total[i] = sum;
    if (step.part + 1u == params.parts) { value[i] = params.scale * sum; }
}

// The same for counts, which have no scale.
@compute @workgroup_size(256)
fn add_numbers(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i >= params.count) { return; }
    var sum = number[i];
    if (step.part > 0u) { sum += total_number[i]; }
    total_number[i] = sum;
    if (step.part + 1u == params.parts) { number[i] = sum; }
}
