// NaN by its bits: compilers may assume that there is none, so that comparisons, min, max, clamp and
// sign can make a number of it.

fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// Neither NaN nor infinite.
fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

// `result`, but NaN where `value` is.
fn keep_nan(value: f32, result: f32) -> f32 {
    return select(result, value, is_nan(value));
}

// The greater of two, NaN if one of them is.
fn max_or_nan(a: f32, b: f32) -> f32 {
    return keep_nan(a, keep_nan(b, max(a, b)));
}
