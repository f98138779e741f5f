// stochastic: vectors are drawn from a categorical posterior over the codes, whose spread is learned.
//
//   L[n,k] = -sum_c w[n,c] (z[n,c] - C[k,c])^2 + (what is the same for all k) = X[n] . Y[k]
//     w = 1 / (2 (v + e^s)),  X = (2 w z, -w),  Y = (C, sum C^2)      a variance of all channels
//                             X = (2 w z, -w),  Y = (C, C^2)          one of each channel (CHANNELS)
//     DIRECTIONS: z, C of length 1, v = 1:  X = (v + e^s) z,  Y = C
//   p = softmax(L),  t = softmax((L + gumbel) / T),  z_q = t C;  in evaluation t is 1 at the largest L
//
// Products over the features are those of `linear`; here is what stands between them. Rows are taken in
// chunks, of which L, t and the gradients lie as [K, R]: neighbouring invocations have neighbouring rows.

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

struct Step {
    step: u32,
    seed_low: u32,
    seed_high: u32,
    temperature: f32,
}

// One variance a channel; directions in place of points; the noise is given.
override CHANNELS: bool = false;
override DIRECTIONS: bool = false;
override GIVEN: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> log_var: array<f32>;
// v: of all vectors, each image, each vector, or each value
@group(0) @binding(3) var<storage, read_write> base_out: array<f32>;
@group(0) @binding(4) var<storage, read> base: array<f32>;
// s
@group(0) @binding(5) var<storage, read> spread: array<f32>;
@group(0) @binding(6) var<storage, read_write> packed: array<f32>;
@group(0) @binding(7) var<storage, read> codebook: array<f32>;
@group(0) @binding(8) var<storage, read> logits: array<f32>;
// of each part of a row: maximum, sum and sum of L e^L of both softmaxes, the largest code
@group(0) @binding(9) var<storage, read_write> partial: array<f32>;
// of each vector [3, N]: log-sum-exp of L and of (L + gumbel)/T, a = G . z_q
@group(0) @binding(10) var<storage, read_write> stats: array<f32>;
@group(0) @binding(11) var<storage, read_write> q: array<u32>;
@group(0) @binding(12) var<storage, read_write> weights: array<f32>;
@group(0) @binding(13) var<storage, read> rows_in: array<f32>;
@group(0) @binding(14) var<storage, read_write> values: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;
@group(0) @binding(16) var<storage, read> noise: array<f32>;
@group(0) @binding(17) var<storage, read> z_q: array<f32>;
@group(0) @binding(18) var<storage, read> grad_out: array<f32>;
@group(0) @binding(19) var<storage, read> stats_in: array<f32>;
// of each vector, or of each value
@group(0) @binding(20) var<storage, read_write> grad_var: array<f32>;
@group(0) @binding(21) var<storage, read> grad_var_in: array<f32>;
@group(0) @binding(22) var<storage, read> codes_in: array<u32>;
@group(0) @binding(23) var<storage, read> grad_packed: array<f32>;
@group(0) @binding(24) var<storage, read> grad_looked_up: array<f32>;
// sum p log p of each vector [N]
@group(0) @binding(25) var<storage, read_write> entropies: array<f32>;
@group(0) @binding(26) var<storage, read> entropies_in: array<f32>;
// the loss of each vector [N]
@group(0) @binding(27) var<storage, read_write> losses: array<f32>;

const FAR: f32 = 3.0e38;

// ------------------------------------------------------------------------------------- the spread

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

// v = 1 for all.
@compute @workgroup_size(1)
fn base_of_all() {
    base_out[0] = 1.0;
}

// v = e^log_var of each vector's mean, or of each value.
@compute @workgroup_size(64)
fn base_of_vectors(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (CHANNELS) {
        if (i < params.count * params.features) { base_out[i] = exp(log_var[i]); }
        return;
    }
    if (i >= params.count) { return; }
    var sum = 0.0;
    for (var f = 0u; f < params.features; f++) { sum += log_var[element(i, f)]; }
    base_out[i] = exp(sum / f32(params.features));
}

// v of each image: the mean over all its values.
@compute @workgroup_size(256)
fn base_of_images(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let image = linear_group(group, groups);
    let each = params.features * params.positions;
    var sum = 0.0;
    for (var i = local; i < each; i += 256u) { sum += log_var[image * each + i]; }
    sum = workgroup_sum(local, sum);
    if (local == 0u) { base_out[image] = exp(sum / f32(each)); }
}

// --------------------------------------------------------------------------------- X and Y, forward

// X of the chunk's rows [R, columns].
@compute @workgroup_size(64)
fn pack(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.columns) { return; }
    let c = i % params.columns;
    let n = params.first + i / params.columns;
    if (DIRECTIONS) {
        packed[i] = weight(n, c) * z[element(n, c)];
    } else if (c < params.features) {
        packed[i] = 2.0 * weight(n, c) * z[element(n, c)];
    } else {
        packed[i] = -weight(n, c - params.features);
    }
}

// Y [K, columns]; a code an invocation.
@compute @workgroup_size(64)
fn pack_codes(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let k = linear_group(group, groups) * 64u + local;
    if (k >= params.codes) { return; }
    var squares = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let c = codebook[k * params.features + f];
        packed[k * params.columns + f] = c;
        squares += c * c;
        if (CHANNELS) { packed[k * params.columns + params.features + f] = c * c; }
    }
    if (!CHANNELS && !DIRECTIONS) { packed[k * params.columns + params.features] = squares; }
}

// ------------------------------------------------------------------------------------- the softmaxes

// Standard Gumbel noise of vector n and code k: -log of an exponential variable, near 0 by its series,
// since log is not exact near 1.
fn gumbel(n: u32, k: u32) -> f32 {
    if (GIVEN) { return noise[n * params.codes + k]; }
    let quads = (params.codes + 3u) / 4u;
    let words = random_words(params.stream, n * quads + k / 4u);
    let u = (f32(words[k % 4u] >> 9u) + 0.5) / 8388608.0;
    let series = u * (1.0 + u * (0.5 + u * (0.33333333 + u * (0.25 + u * 0.2))));
    return -log(select(-log(1.0 - u), series, u < 0.0625));
}

// A running softmax: maximum, sum of e^(x - maximum), sum of x times that.
struct Running {
    most: f32,
    sum: f32,
    moment: f32,
}

fn add(to: ptr<function, Running>, x: f32) {
    if (x > (*to).most) {
        let factor = exp((*to).most - x);
        (*to) = Running(x, (*to).sum * factor + 1.0, (*to).moment * factor + x);
    } else {
        let e = exp(x - (*to).most);
        (*to).sum += e;
        (*to).moment += e * x;
    }
}

fn join(a: Running, b: Running) -> Running {
    let most = max(a.most, b.most);
    let fa = exp(a.most - most);
    let fb = exp(b.most - most);
    return Running(most, a.sum * fa + b.sum * fb, a.moment * fa + b.moment * fb);
}

// Six numbers of each part of each row, [6, parts, R].
fn put(part: u32, r: u32, plain: Running, noisy: Running, best: u32) {
    let stride = params.parts * params.rows;
    let at = part * params.rows + r;
    partial[at] = plain.most;
    partial[at + stride] = plain.sum;
    partial[at + 2u * stride] = plain.moment;
    partial[at + 3u * stride] = noisy.most;
    partial[at + 4u * stride] = noisy.sum;
    partial[at + 5u * stride] = bitcast<f32>(best);
}

fn span() -> u32 {
    return (params.codes + params.parts - 1u) / params.parts;
}

@compute @workgroup_size(64)
fn scan(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.parts) { return; }
    let r = i % params.rows;
    let part = i / params.rows;
    var plain = Running(-FAR, 0.0, 0.0);
    var best = part * span();
    let end = min(best + span(), params.codes);
    for (var k = best; k < end; k++) {
        let x = logits[k * params.rows + r];
        if (x > plain.most) { best = k; }
        add(&plain, x);
    }
    put(part, r, plain, Running(0.0, 1.0, 0.0), best);
}

@compute @workgroup_size(64)
fn scan_drawn(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.parts) { return; }
    let r = i % params.rows;
    let part = i / params.rows;
    var plain = Running(-FAR, 0.0, 0.0);
    var noisy = Running(-FAR, 0.0, 0.0);
    var best = part * span();
    let end = min(best + span(), params.codes);
    for (var k = best; k < end; k++) {
        let x = logits[k * params.rows + r];
        if (x > plain.most) { best = k; }
        add(&plain, x);
        add(&noisy, (x + gumbel(params.first + r, k)) / step.temperature);
    }
    put(part, r, plain, noisy, best);
}

// Joins the parts of each row.
@compute @workgroup_size(64)
fn combine(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = linear_group(group, groups) * 64u + local;
    if (r >= params.rows) { return; }
    let stride = params.parts * params.rows;
    var plain = Running(-FAR, 0.0, 0.0);
    var noisy = Running(-FAR, 0.0, 0.0);
    var best = 0u;
    for (var part = 0u; part < params.parts; part++) {
        let at = part * params.rows + r;
        let own = Running(partial[at], partial[at + stride], partial[at + 2u * stride]);
        if (own.most > plain.most) { best = bitcast<u32>(partial[at + 5u * stride]); }
        plain = join(plain, own);
        noisy = join(noisy, Running(partial[at + 3u * stride], partial[at + 4u * stride], 0.0));
    }
    let n = params.first + r;
    let total = plain.most + log(plain.sum);
    q[n] = best;
    stats[n] = total;
    stats[params.count + n] = noisy.most + log(noisy.sum);
    entropies[n] = plain.moment / plain.sum - total;
}

// t [K, R], drawn.
@compute @workgroup_size(64)
fn draw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.codes) { return; }
    let n = params.first + i % params.rows;
    let x = (logits[i] + gumbel(n, i / params.rows)) / step.temperature;
    weights[i] = exp(x - stats_in[params.count + n]);
}

// z_q of evaluation: the code itself.
@compute @workgroup_size(64)
fn look_up(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.features) { return; }
    let n = params.first + i / params.features;
    packed[i] = codebook[codes_in[n] * params.features + i % params.features];
}

// Sum of p over the chunk's rows in 256s, [R / 256, K].
@compute @workgroup_size(64)
fn sum_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    let blocks = (params.rows + 255u) / 256u;
    if (i >= params.codes * blocks) { return; }
    let k = i % params.codes;
    let start = i / params.codes * 256u;
    var sum = 0.0;
    for (var r = start; r < min(start + 256u, params.rows); r++) {
        sum += exp(logits[k * params.rows + r] - stats_in[params.first + r]);
    }
    packed[i] = sum;
}

// Adds them to those of the chunks before [K].
@compute @workgroup_size(64)
fn sum_blocks(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let k = linear_group(group, groups) * 64u + local;
    if (k >= params.codes) { return; }
    var sum = 0.0;
    if (params.first > 0u) { sum = values[k]; }
    for (var i = 0u; i < (params.rows + 255u) / 256u; i++) { sum += rows_in[i * params.codes + k]; }
    values[k] = sum;
}

// e^(-sum u log(u + 1e-7)) of u = sums / N: the perplexity of the mean posterior.
@compute @workgroup_size(256)
fn perplexity(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var k = local; k < params.codes; k += 256u) {
        let u = rows_in[k] / f32(params.count);
        sum -= u * log(u + 1e-7);
    }
    sum = workgroup_sum(local, sum);
    if (local == 0u) { values[0] = exp(sum); }
}

// z_q of the chunk [R, F] in the layout of z, and the loss; a row an invocation.
@compute @workgroup_size(64)
fn unpack(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = linear_group(group, groups) * 64u + local;
    if (r >= params.rows) { return; }
    let n = params.first + r;
    var loss = entropies_in[n];
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let value = rows_in[r * params.features + f];
        values[at] = value;
        let away = z[at] - value;
        loss += weight(n, f) * away * select(away, z[at], DIRECTIONS);
    }
    losses[n] = loss;
}

// ------------------------------------------------------------------------------------------ backward

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
    var along = 0.0;
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let own = select(2.0 * (z[at] - z_q[at]), z[at], DIRECTIONS);
        var g = -params.scale * weight(n, f) * own;
        if (params.above > 0.0) { g += grad_out[at]; }
        packed[r * params.features + f] = g;
        along += g * z_q[at];
    }
    stats[2u * params.count + n] = along;
}

// D = t (G . C - a) / T + scale p (log p - sum p log p), over G . C [K, R].
@compute @workgroup_size(64)
fn distribute_drawn(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.codes) { return; }
    let n = params.first + i % params.rows;
    let log_p = logits[i] - stats_in[n];
    let through = rows_in[i] * (weights[i] - stats_in[2u * params.count + n]) / step.temperature;
    weights[i] = through + params.scale * exp(log_p) * (log_p - entropies_in[n]);
}

// The same in evaluation, where nothing passes the choice of the code.
@compute @workgroup_size(64)
fn distribute(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.codes) { return; }
    let n = params.first + i % params.rows;
    let log_p = logits[i] - stats_in[n];
    weights[i] = params.scale * exp(log_p) * (log_p - entropies_in[n]);
}

// t of evaluation [K, R].
@compute @workgroup_size(64)
fn choose(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.codes) { return; }
    weights[i] = f32(codes_in[params.first + i % params.rows] == i / params.rows);
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

// Sums of stretches of `shared_by` of a tensor; a workgroup a stretch.
@compute @workgroup_size(256)
fn sum_stretches(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let stretch = linear_group(group, groups);
    let end = min((stretch + 1u) * params.shared_by, params.length);
    var sum = 0.0;
    for (var i = stretch * params.shared_by + local; i < end; i += 256u) { sum += grad_var_in[i]; }
    sum = workgroup_sum(local, sum);
    if (local == 0u && stretch * params.shared_by < params.length) { values[stretch] = sum; }
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

// The mean of v + e^s, of the sums of stretches of v; 1 / that of directions. One workgroup.
@compute @workgroup_size(256)
fn mean_variance(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < params.length; i += 256u) { sum += grad_var_in[i]; }
    let mean = workgroup_sum(local, sum) * params.scale + exp(spread[0]);
    if (local == 0u) { values[0] = select(mean, 1.0 / mean, DIRECTIONS); }
}
