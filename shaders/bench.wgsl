// bench: the adapter's own ceilings, fused multiply-adds in registers and a large copy.

@group(0) @binding(1) var<storage, read> from_buffer: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> to_buffer: array<vec4<f32>>;

const ROUNDS: u32 = 256u;

// Eight chains of fused multiply-adds: enough to hide their latency, few enough for registers.
@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>) {
    var a = vec4(f32(id.x));
    var b = a + 1.0;
    let m = vec4(0.999);
    let c = vec4(0.001);
    for (var i = 0u; i < ROUNDS; i++) {
        a = fma(a, m, c); b = fma(b, m, c);
        a = fma(a, m, c); b = fma(b, m, c);
        a = fma(a, m, c); b = fma(b, m, c);
        a = fma(a, m, c); b = fma(b, m, c);
    }
    to_buffer[id.x] = a + b;
}

@compute @workgroup_size(64)
fn copy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_group(group, groups) * 64u + local;
    if (i < arrayLength(&to_buffer)) { to_buffer[i] = from_buffer[i]; }
}
