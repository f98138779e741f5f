//! How many values each channel has.

/// Levels whose product is near a power of two, as in table 1 of the FSQ paper; the first two are
/// for small codebooks.
const LEVELS: [&[usize]; 7] = [
    &[5, 3],
    &[8, 8],
    &[8, 6, 5],
    &[8, 5, 5, 5],
    &[7, 5, 5, 5, 5],
    &[8, 8, 8, 6, 5],
    &[8, 8, 8, 5, 5, 5],
];

/// Levels of at most `codes` codes, as near to them as the paper has any; with its own for fewer than 15.
#[must_use]
pub fn levels(codes: usize) -> Vec<usize> {
    let fitting = LEVELS
        .into_iter()
        .rfind(|l| l.iter().product::<usize>() <= codes);
    fitting.unwrap_or(LEVELS[0]).to_vec()
}

#[cfg(test)]
mod tests {
    use super::levels;

    #[test]
    fn the_levels_of_256_codes_are_those_of_the_paper() {
        assert_eq!(levels(256), [8, 6, 5]);
        assert_eq!(levels(1024), [8, 5, 5, 5]);
        assert_eq!(levels(2), [5, 3]);
    }
}
