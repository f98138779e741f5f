// embedding: y[r] = token[codes[r]] + place[t], t the position of row r in its sequence: step.position + r % queries.
//
//   grad_token[v] = sum of grad_y[r] over the rows whose code is v       grad_place[t] = sum of grad_y over the rows at t
//
// For the way back `order` has the rows sorted by their codes; those of code v stand from starts[v] up to starts[v + 1].

struct Params {
    rows: u32,                  // R
    width: u32,                 // E
    queries: u32,               // rows of a sequence, which lie side by side
    tokens: u32,                // V, codes there are
}

struct Step {
    position: u32,              // of the first row of a sequence
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read> token: array<f32>;
@group(0) @binding(3) var<storage, read> places: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> grad_y: array<f32>;
@group(0) @binding(6) var<storage, read> order: array<u32>;
@group(0) @binding(7) var<storage, read> starts: array<u32>;
@group(0) @binding(8) var<storage, read_write> grad_token: array<f32>;
@group(0) @binding(9) var<storage, read_write> grad_places: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.rows * params.width) { return; }
    let e = item % params.width;
    let row = item / params.width;
    let t = step.position + row % params.queries;
    y[item] = token[codes[row] * params.width + e] + places[t * params.width + e];
}

@compute @workgroup_size(64)
fn backward_token(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.tokens * params.width) { return; }
    let v = item / params.width;
    let first = starts[v];
    let count = starts[v + 1u] - first;
    var sum = 0.0;
    for (var i = 0u; i < count; i++) { sum += grad_y[order[first + i] * params.width + item % params.width]; }
    grad_token[item] = sum;
}

@compute @workgroup_size(64)
fn backward_place(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.queries * params.width) { return; }
    var sum = 0.0;
    for (var at = item; at < params.rows * params.width; at += params.queries * params.width) { sum += grad_y[at]; }
    grad_places[item] = sum;
}
