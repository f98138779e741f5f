// Sums (and maxima) over a workgroup of 256 in a fixed order, so that a run repeats bit for bit. Needs
// lib/number.wgsl.

var<workgroup> reduce_scratch: array<f32, 256>;

// Every thread must call it; every thread gets the sum.
fn workgroup_sum(local: u32, value: f32) -> f32 {
    workgroupBarrier();
    reduce_scratch[local] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) { reduce_scratch[local] += reduce_scratch[local + half]; }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&reduce_scratch[0]);
}

// The same for the greatest value, NaN if there is one.
fn workgroup_max(local: u32, value: f32) -> f32 {
    workgroupBarrier();
    reduce_scratch[local] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) { reduce_scratch[local] = max_or_nan(reduce_scratch[local], reduce_scratch[local + half]); }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&reduce_scratch[0]);
}
