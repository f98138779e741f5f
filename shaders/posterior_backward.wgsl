// posterior_backward: the way back through the posterior, see posterior.wgsl.
//
//   G = grad z_q - 2 scale w (z - z_q);  of directions grad z_q - scale (v + e^s) z
//   D = t (G . C - G . z_q) / T + scale p (log p - sum p log p)            [K, R]; the first where codes are drawn
//   grad X = D Y,  grad Y = D X,  grad C = what Y hands on + t G

struct Step {
    temperature: f32,
}

@group(0) @binding(4) var<storage, read> z_q: array<f32>;
@group(0) @binding(5) var<storage, read> grad_out: array<f32>;
@group(0) @binding(6) var<storage, read_write> packed: array<f32>;
// a = G . z_q of each vector [N]
@group(0) @binding(7) var<storage, read_write> along: array<f32>;
@group(0) @binding(8) var<storage, read> along_in: array<f32>;
@group(0) @binding(9) var<storage, read> logits: array<f32>;
// log-sum-exp of L of each vector
@group(0) @binding(10) var<storage, read> sums: array<f32>;
// sum p log p of each vector [N]
@group(0) @binding(11) var<storage, read> entropies: array<f32>;
@group(0) @binding(12) var<storage, read> rows_in: array<f32>;
@group(0) @binding(13) var<storage, read_write> values: array<f32>;
// of each vector, or of each value
@group(0) @binding(14) var<storage, read_write> grad_var: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;
@group(0) @binding(16) var<storage, read> grad_var_in: array<f32>;
@group(0) @binding(17) var<storage, read> codebook: array<f32>;
@group(0) @binding(18) var<storage, read> grad_packed: array<f32>;
@group(0) @binding(19) var<storage, read> grad_looked_up: array<f32>;

// G of the chunk [R, F]: what reaches z_q, from above and from the loss; a = G . z_q.
@compute @workgroup_size(64)
fn pack_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = linear_group(group, groups) * 64u + local;
    if (r >= params.rows) { return; }
    let n = params.first + r;
    var length = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let own = select(2.0 * (z[at] - z_q[at]), z[at], DIRECTIONS);
        var g = -params.scale * weight(n, f) * own;
        if (params.above > 0.0) { g += grad_out[at]; }
        packed[r * params.features + f] = g;
        length += g * z_q[at];
    }
    along[n] = length;
}

// D over G . C [K, R]; `rows_in` is t.
@compute @workgroup_size(64)
fn distribute(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.codes) { return; }
    let n = params.first + i % params.rows;
    let log_p = logits[i] - sums[n];
    var through = 0.0;
    if (DRAWN) { through = rows_in[i] * (values[i] - along_in[n]) / step.temperature; }
    values[i] = through + params.scale * exp(log_p) * (log_p - entropies[n]);
}

// grad_z, and the gradient of each variance, of grad X [R, columns].
@compute @workgroup_size(64)
fn unpack_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = linear_group(group, groups) * 64u + local;
    if (r >= params.rows) { return; }
    let n = params.first + r;
    let start = r * params.columns;
    var grad_w = 0.0;
    if (!CHANNELS && !DIRECTIONS) { grad_w = -rows_in[start + params.features]; }
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let w = weight(n, f);
        let grad_x = rows_in[start + f];
        let away = z[at] - z_q[at];
        if (DIRECTIONS) {
            values[at] = w * (grad_x + params.scale * (z[at] + away));
            grad_w += z[at] * grad_x + params.scale * z[at] * away;
            continue;
        }
        values[at] = 2.0 * w * (grad_x + params.scale * away);
        let own = 2.0 * z[at] * grad_x + params.scale * away * away;
        if (CHANNELS) {
            grad_var[at] = -2.0 * w * w * (own - rows_in[start + params.features + f]);
        } else {
            grad_w += own;
        }
    }
    if (CHANNELS) { return; }
    let w = weight(n, 0u);
    grad_var[n] = select(-2.0 * w * w * grad_w, grad_w, DIRECTIONS);
}

// grad C of grad Y [K, columns] and of what the lookup got [K, F].
@compute @workgroup_size(64)
fn unpack_codes(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.codes * params.features) { return; }
    let k = i / params.features;
    let f = i % params.features;
    let start = k * params.columns;
    var sum = grad_packed[start + f] + grad_looked_up[i];
    if (!DIRECTIONS) {
        let square = start + params.features + select(0u, f, CHANNELS);
        sum += 2.0 * codebook[i] * grad_packed[square];
    }
    values[i] = sum;
}

// grad s = e^s sum grad_var, of the sums of stretches; one workgroup.
@compute @workgroup_size(256)
fn backward_spread(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < params.length; i += 256u) { sum += grad_var_in[i]; }
    sum = workgroup_sum(local, sum);
    if (local == 0u) { values[0] = exp(spread[0]) * sum; }
}

// grad log_var: v of its mean, shared by all values that the mean is of.
@compute @workgroup_size(64)
fn backward_log_var(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.count * params.features) { return; }
    if (CHANNELS) {
        values[i] = grad_var_in[i] * base[i];
        return;
    }
    let n = i / (params.features * params.positions) * params.positions + i % params.positions;
    let at = n / params.shared_by;
    values[i] = grad_var_in[at] * base[at] / f32(params.features * params.shared_by);
}
