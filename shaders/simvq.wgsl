// simvq: mapped codes are put on vectors. What is stored is what the map takes there.
//
//   [W | 1] -> [1 | W^-1]       Gauss-Jordan, each pivot the largest left of its column
//   c[k] = W^-1 rows[k]         where code k is due
//
// With no code due both entry points end at once.

const MOST: u32 = 128u;         // features; a thread a row

struct Params {
    codes: u32,                 // K
    features: u32,              // F, at most MOST
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> map: array<f32>;
@group(0) @binding(2) var<storage, read> due_in: array<u32>;
@group(0) @binding(3) var<storage, read_write> work: array<f32>;
@group(0) @binding(4) var<storage, read> work_in: array<f32>;
@group(0) @binding(5) var<storage, read> slots_in: array<u32>;
@group(0) @binding(6) var<storage, read> rows: array<f32>;
@group(0) @binding(7) var<storage, read_write> codebook: array<f32>;

var<workgroup> sizes: array<f32, MOST>;
var<workgroup> pivot: u32;

// One workgroup.
@compute @workgroup_size(256)
fn invert(@builtin(local_invocation_index) local: u32) {
    if (due_in[0] == 0u) { return; }
    let size = params.features;
    let width = 2u * size;
    for (var i = local; i < size * width; i += 256u) {
        let row = i / width;
        let column = i % width;
        var value = select(0.0, 1.0, column == row + size);
        if (column < size) { value = map[row * size + column]; }
        work[i] = value;
    }
    for (var p = 0u; p < size; p++) {
        storageBarrier();
        if (local < size) { sizes[local] = select(-1.0, abs(work[local * width + p]), local >= p); }
        workgroupBarrier();
        if (local == 0u) {
            var at = p;
            for (var r = p + 1u; r < size; r++) {
                if (sizes[r] > sizes[at]) { at = r; }
            }
            pivot = at;
        }
        workgroupBarrier();
        let other = pivot;
        let by = work[other * width + p];
        storageBarrier();
        // Rows change places, and the pivot's becomes 1 there. Columns up to p are done with.
        for (var column = p + 1u + local; column < width; column += 256u) {
            let value = work[other * width + column];
            work[other * width + column] = work[p * width + column];
            work[p * width + column] = value / by;
        }
        if (local == 0u) { work[other * width + p] = work[p * width + p]; }
        storageBarrier();
        let rest = width - p - 1u;
        for (var i = local; i < size * rest; i += 256u) {
            let row = i / rest;
            let column = p + 1u + i % rest;
            if (row != p) { work[row * width + column] -= work[row * width + p] * work[p * width + column]; }
        }
    }
}

@compute @workgroup_size(64)
fn unmap(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.codes * params.features) { return; }
    let k = item / params.features;
    if (slots_in[k] == 0u) { return; }
    let f = item % params.features;
    var sum = 0.0;
    for (var j = 0u; j < params.features; j++) {
        sum += work_in[f * 2u * params.features + params.features + j] * rows[k * params.features + j];
    }
    codebook[item] = sum;
}
