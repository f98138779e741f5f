// quantize: z_q[n] = T[q[n]], the distance to the code, the commitment loss, and the way back.
//
//   grad_z   = e + w (1-beta) 2/(NF) (z - z_q)          (g: gradient of z_d)
//     straight through  e = g
//     rotation          e = |z_q|/|z| (g - 2 r (r . g) + 2 u (v . g)),  u = z/|z|, v = z_q/|z_q|,
//                       r = (u + v)/|u + v|: what turns z into z_q, turned back
//   grad_z_q = nu g + w beta 2/(NF) (z_q - z)
//   grad_T[k] = sum of grad_z_q[n] over q[n] = k
//
// z, z_q and g have the same layout. The last sum is one in columns.

// The distance is 1 - cos, of vectors that are unit length already: half the square.
override COSINE: bool = false;

struct Params {
    count: u32,
    features: u32,
    codes: u32,
    positions: u32,             // z is [B, F, positions], n = b * positions + s
    chunks: u32,
    clear: u32,
    first: u32,
    end: u32,
    through: f32,               // 1, or 0 where nothing comes from above
    to_z: f32,                  // w (1-beta) 2/(NF)
    to_code: f32,               // w beta 2/(NF)
    nu: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<u32>;
@group(0) @binding(3) var<storage, read> codebook: array<f32>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> z_q: array<f32>;
@group(0) @binding(6) var<storage, read_write> d: array<f32>;
@group(0) @binding(7) var<storage, read_write> squares: array<f32>;
@group(0) @binding(8) var<storage, read> z_q_in: array<f32>;
@group(0) @binding(9) var<storage, read> grad_out: array<f32>;
@group(0) @binding(10) var<storage, read_write> grad_z: array<f32>;
@group(0) @binding(11) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    let row = q[n] * params.features;
    var to_code = 0.0;
    var to_value = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let here = z[at];
        let value = values[row + f];
        z_q[at] = value;
        let e = here - codebook[row + f];
        to_code += e * e;
        to_value += (here - value) * (here - value);
    }
    d[n] = select(sqrt(to_code), 0.5 * to_code, COSINE);
    squares[n] = to_value;
}

@compute @workgroup_size(64)
fn lookup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    let row = q[n] * params.features;
    for (var f = 0u; f < params.features; f++) { z_q[element(n, f)] = values[row + f]; }
}

@compute @workgroup_size(256)
fn backward_z(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 256u + local;
    if (i >= params.count * params.features) { return; }
    grad_z[i] = params.through * grad_out[i] + params.to_z * (z[i] - z_q_in[i]);
}

// The length of a vector, as a divisor.
fn divisor(squares: f32) -> f32 {
    return keep_nan(squares, max(sqrt(squares), 1e-6));
}

@compute @workgroup_size(64)
fn backward_z_rotated(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let n = linear_group(group, groups) * 64u + local;
    if (n >= params.count) { return; }
    var zz = 0.0;
    var qq = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        zz += z[at] * z[at];
        qq += z_q_in[at] * z_q_in[at];
    }
    let to_u = 1.0 / divisor(zz);
    let to_v = 1.0 / divisor(qq);
    var sum_squares = 0.0;
    var v_g = 0.0;
    var sum_g = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let v = to_v * z_q_in[at];
        let sum = to_u * z[at] + v;
        sum_squares += sum * sum;
        v_g += v * grad_out[at];
        sum_g += sum * grad_out[at];
    }
    // 1e-12: z_q opposite to z, where no turn is the shortest.
    let along_r = sum_g / max(sum_squares, 1e-12);
    let scale = params.through * sqrt(qq) * to_u;
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let u = to_u * z[at];
        let sum = u + to_v * z_q_in[at];
        let turned = grad_out[at] - 2.0 * sum * along_r + 2.0 * u * v_g;
        grad_z[at] = scale * turned + params.to_z * (z[at] - z_q_in[at]);
    }
}

@compute @workgroup_size(64)
fn backward_values(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let item = linear_group(group, groups) * 64u + local;
    if (item >= params.chunks * params.features) { return; }
    let f = item % params.features;
    let chunk = item / params.features;
    let base = start_of_chunk(chunk, f);
    let end = end_of(chunk);
    for (var n = first_of(chunk); n < end; n++) {
        let at = element(n, f);
        var g = params.to_code * (z_q_in[at] - z[at]);
        if (params.nu != 0.0) { g += params.nu * params.through * grad_out[at]; }
        partial[base + q[n] * params.features] += g;
    }
}
