// alpha: the penalty on the learned standard deviation of the codebook, and its gradient.
//   default  -sum alpha^2     between1  sum (1 - alpha)^2     small  -t/2 sum alpha^2,  t the step

const DEFAULT: u32 = 0u;
const BETWEEN1: u32 = 1u;

override KIND: u32 = DEFAULT;

struct Params {
    count: u32,
    weight: f32,
}

struct Step {
    step: u32,                  // t, counts from 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> alpha: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad_alpha: array<f32>;
@group(0) @binding(15) var<uniform> step: Step;

@compute @workgroup_size(256)
fn penalty(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < params.count; i += 256u) {
        let a = alpha[i];
        if (KIND == BETWEEN1) {
            sum += (1.0 - a) * (1.0 - a);
        } else if (KIND == DEFAULT) {
            sum -= a * a;
        } else {
            sum -= 0.5 * f32(step.step) * a * a;
        }
    }
    let total = workgroup_sum(local, sum);
    if (local == 0u) { out[0] = total; }
}

@compute @workgroup_size(256)
fn penalty_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.count) { return; }
    let a = alpha[id.x];
    var slope = -f32(step.step) * a;
    if (KIND == BETWEEN1) { slope = -2.0 * (1.0 - a); }
    if (KIND == DEFAULT) { slope = -2.0 * a; }
    grad_alpha[id.x] = params.weight * slope;
}
