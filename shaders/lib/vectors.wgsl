// Vectors in a tensor [outer, F, positions]: vector n is z[n / positions, :, n % positions].

// Index of feature f of vector n; the shader's params have `features` and `positions`.
fn element(n: u32, f: u32) -> u32 {
    return ((n / params.positions) * params.features + f) * params.positions + n % params.positions;
}
