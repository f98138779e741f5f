//! WGSL text that shaders of every room share; [`super::Shader::fragments`] stand before a file.

/// The fragment with `linear_group`.
pub(crate) const GRID: (&str, &str) =
    ("lib/grid.wgsl", include_str!("../../shaders/lib/grid.wgsl"));
/// The fragment that tells NaN and infinity by their bits.
pub(crate) const NUMBER: (&str, &str) = (
    "lib/number.wgsl",
    include_str!("../../shaders/lib/number.wgsl"),
);
/// The fragment with sums over a workgroup; needs [`NUMBER`].
pub(crate) const REDUCE: (&str, &str) = (
    "lib/reduce.wgsl",
    include_str!("../../shaders/lib/reduce.wgsl"),
);
/// The fragment with random numbers; a file that uses it has the slots `step`, `seed_low` and `seed_high`.
pub(crate) const RANDOM: (&str, &str) = (
    "lib/random.wgsl",
    include_str!("../../shaders/lib/random.wgsl"),
);
