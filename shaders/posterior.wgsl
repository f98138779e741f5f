// posterior: vectors are drawn from a categorical posterior over the codes, whose spread is learned.
//
//   L[n,k] = -sum_c w[n,c] (z[n,c] - C[k,c])^2 + (what is the same for all k) = X[n] . Y[k]
//     w = 1 / (2 (v + e^s)),  X = (2 w z, -w),  Y = (C, sum C^2)      a variance of all channels
//                             X = (2 w z, -w),  Y = (C, C^2)          one of each channel (CHANNELS)
//     DIRECTIONS: z, C of length 1, v = 1:  X = (v + e^s) z,  Y = C
//   p = softmax(L),  t = softmax((L + gumbel) / T),  z_q = t C;  in evaluation t is 1 at the largest L, or, sampled, at the
//   largest L + gumbel, which is a draw from p
//
// Products over the features are those of `linear`; here is what stands between them. Rows are taken in
// chunks, of which L and t lie as [K, R]: neighbouring invocations have neighbouring rows.

struct Step {
    step: u32,
    part: u32,
    seed_low: u32,
    seed_high: u32,
    temperature: f32,
    // in evaluation: images before those of this batch, plus 1, where codes are sampled; 0 where they are the likeliest
    sampled: u32,
}

// The noise is given.
override GIVEN: bool = false;

@group(0) @binding(4) var<storage, read> log_var: array<f32>;
@group(0) @binding(5) var<storage, read_write> base_out: array<f32>;
@group(0) @binding(6) var<storage, read_write> packed: array<f32>;
@group(0) @binding(7) var<storage, read> codebook: array<f32>;
@group(0) @binding(8) var<storage, read> logits: array<f32>;
@group(0) @binding(9) var<storage, read> noise: array<f32>;
// of each part of a row [6, parts, R]: maximum, sum and sum of L e^L of the plain softmax, maximum and sum of
// the noisy one, the likeliest code
@group(0) @binding(10) var<storage, read_write> partial: array<f32>;
// of each vector [2, N]: log-sum-exp of L and of (L + gumbel)/T
@group(0) @binding(11) var<storage, read_write> sums: array<f32>;
@group(0) @binding(12) var<storage, read> sums_in: array<f32>;
@group(0) @binding(13) var<storage, read_write> q: array<u32>;
@group(0) @binding(14) var<storage, read> q_in: array<u32>;
@group(0) @binding(15) var<uniform> step: Step;
// sum p log p of each vector [N]
@group(0) @binding(16) var<storage, read_write> entropies: array<f32>;
@group(0) @binding(17) var<storage, read> entropies_in: array<f32>;
// the loss of each vector [N]
@group(0) @binding(18) var<storage, read_write> losses: array<f32>;
@group(0) @binding(19) var<storage, read> rows_in: array<f32>;
@group(0) @binding(20) var<storage, read_write> values: array<f32>;

const FAR: f32 = 3.0e38;

// ------------------------------------------------------------------------------------- the spread

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
    for (var i = stretch * params.shared_by + local; i < end; i += 256u) { sum += rows_in[i]; }
    sum = workgroup_sum(local, sum);
    if (local == 0u && stretch * params.shared_by < params.length) { values[stretch] = sum; }
}

// The mean of v + e^s, of the sums of stretches of v; 1 / that of directions. One workgroup.
@compute @workgroup_size(256)
fn mean_variance(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < params.length; i += 256u) { sum += rows_in[i]; }
    let mean = workgroup_sum(local, sum) * params.scale + exp(spread[0]);
    if (local == 0u) { values[0] = select(mean, 1.0 / mean, DIRECTIONS); }
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
    // The vectors of all parts of a batch are numbered through, and so are those of all batches that are evaluated.
    var row = step.part * params.count + n;
    if (step.sampled > 0u) { row = (step.sampled - 1u) * params.positions + n; }
    let words = random_words(params.stream, row * quads + k / 4u);
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
    var noisy = Running(-FAR, 0.0, 0.0);
    var best = part * span();
    let end = min(best + span(), params.codes);
    for (var k = best; k < end; k++) {
        let x = logits[k * params.rows + r];
        if (x > plain.most && step.sampled == 0u) { best = k; }
        add(&plain, x);
        if (DRAWN) {
            add(&noisy, (x + gumbel(params.first + r, k)) / step.temperature);
        } else if (step.sampled > 0u) {
            let with_noise = x + gumbel(params.first + r, k);
            if (with_noise > noisy.most) {
                noisy.most = with_noise;
                best = k;
            }
        }
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
        let own_noisy = Running(partial[at + 3u * stride], partial[at + 4u * stride], 0.0);
        let better = select(own.most > plain.most, own_noisy.most > noisy.most, step.sampled > 0u);
        if (better) { best = bitcast<u32>(partial[at + 5u * stride]); }
        plain = join(plain, own);
        noisy = join(noisy, own_noisy);
    }
    let n = params.first + r;
    let total = plain.most + log(plain.sum);
    q[n] = best;
    sums[n] = total;
    sums[params.count + n] = noisy.most + log(noisy.sum);
    entropies[n] = plain.moment / plain.sum - total;
}

// t [K, R]: drawn, or 1 at the likeliest code.
@compute @workgroup_size(64)
fn draw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i >= params.rows * params.codes) { return; }
    let n = params.first + i % params.rows;
    if (!DRAWN) {
        values[i] = f32(q_in[n] == i / params.rows);
        return;
    }
    let x = (logits[i] + gumbel(n, i / params.rows)) / step.temperature;
    values[i] = exp(x - sums_in[params.count + n]);
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
        sum += exp(logits[k * params.rows + r] - sums_in[params.first + r]);
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

// z_q of the chunk in the layout of z, and the loss; a row an invocation. `rows_in` is t C [R, F], or in
// evaluation the codes themselves.
@compute @workgroup_size(64)
fn unpack(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let r = linear_group(group, groups) * 64u + local;
    if (r >= params.rows) { return; }
    let n = params.first + r;
    var start = r * params.features;
    if (!DRAWN) { start = q_in[n] * params.features; }
    var loss = entropies_in[n];
    for (var f = 0u; f < params.features; f++) {
        let at = element(n, f);
        let value = rows_in[start + f];
        values[at] = value;
        let away = z[at] - value;
        loss += weight(n, f) * away * select(away, z[at], DIRECTIONS);
    }
    losses[n] = loss;
}
