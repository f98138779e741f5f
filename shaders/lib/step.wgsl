// What changes from step to step; the twin of `StepUniform` in src/gpu/plan.rs.

struct StepUniform {
    step: u32,
    batch_start: u32,
    lr: f32,
    bias1: f32,
    bias2_sqrt: f32,
    seed_low: u32,
    seed_high: u32,
    epoch_steps: u32,           // of the data, at least 1
}

@group(0) @binding(15) var<uniform> step: StepUniform;
