//! What a prior is measured against: how often each code is used, wherever it stands.

use super::sequences::Sequences;
use super::training::Tokens;
use crate::rng::Stream;
use crate::train::Histogram as Uses;

/// How often each token was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    sequences: Sequences,
    counts: Vec<u64>,
}

impl Histogram {
    /// That of `tokens`.
    #[must_use]
    pub fn of(sequences: &Sequences, tokens: &Tokens) -> Self {
        let mut counts = vec![0; sequences.tokens()];
        for token in tokens.values() {
            counts[*token as usize] += 1;
        }
        Self {
            sequences: sequences.clone(),
            counts,
        }
    }

    /// How codes stand in its sequences.
    #[must_use]
    pub fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    /// The counts of the tokens that a position can have.
    fn of_range(&self, range: &[u32]) -> &[u64] {
        &self.counts[range[0] as usize..(range[0] + range[1]) as usize]
    }

    /// Bits a code of `tokens`, the mean over all: by the counts, to each of which one half is added, so that a code that
    /// was never seen has a price.
    #[must_use]
    pub fn bits(&self, tokens: &Tokens) -> f64 {
        let ranges = self.sequences.ranges();
        let mut price = vec![0.0; self.counts.len()];
        for range in ranges.chunks(2) {
            let own = self.of_range(range);
            let all = own.iter().sum::<u64>() as f64 + 0.5 * own.len() as f64;
            for (price, count) in price[range[0] as usize..].iter_mut().zip(own) {
                *price = -((*count as f64 + 0.5) / all).log2();
            }
        }
        let sum: f64 = tokens.values().iter().map(|t| price[*t as usize]).sum();
        sum / tokens.values().len().max(1) as f64
    }

    /// Draws the tokens of `count` images, each code by itself. The same seed draws the same on every machine.
    #[must_use]
    pub fn sample(&self, count: usize, seed: u64) -> Tokens {
        let ranges = self.sequences.ranges();
        let length = self.sequences.length();
        let mut values = Vec::new();
        for position in 0..length as u32 {
            let range = &ranges[2 * position as usize..][..2];
            let uses = Uses::new(self.of_range(range));
            let stream = Stream::at_step(seed, crate::rng::number_of("histogram"), position + 1);
            for image in 0..count as u32 {
                let [high, low, ..] = stream.words(image);
                let random = u64::from(high) << 32 | u64::from(low);
                let code = uses.as_ref().map_or(0, |uses| uses.code(random));
                values.push(range[0] + code as u32);
            }
        }
        // From [L, B] to [B, L].
        let turned = (0..count * length).map(|i| values[i % length * count + i / length]);
        Tokens::new(length, turned.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequences::Map;
    use super::*;

    #[test]
    fn draws_have_its_frequencies_and_its_price() {
        let map = |codes, len| Map {
            shape: vec![1, len],
            codes,
        };
        let sequences = Sequences {
            maps: vec![map(4, 3), map(2, 2)],
        };
        // Codes 0, 0, 2 and then 1, 1 (tokens 5).
        let tokens = Tokens::new(5, vec![0, 0, 2, 5, 5]);
        let histogram = Histogram::of(&sequences, &tokens);
        let drawn = histogram.sample(30_000, 7);
        assert_eq!(drawn, histogram.sample(30_000, 7));
        assert_eq!(drawn.values()[..50], histogram.sample(10, 7).values()[..]);
        let mut counts = [0.0; 6];
        for token in drawn.values() {
            counts[*token as usize] += 1.0;
        }
        assert_eq!([counts[1], counts[3], counts[4]], [0.0; 3]);
        // 90,000 draws: 5 standard deviations.
        assert!(
            (counts[0] / 90_000.0 - 2.0 / 3.0_f64).abs() < 0.008,
            "{counts:?}"
        );
        let price =
            |count: f64, all: f64, codes: f64| -((count + 0.5) / (all + 0.5 * codes)).log2();
        let want =
            (2.0 * price(2.0, 3.0, 4.0) + price(1.0, 3.0, 4.0) + 2.0 * price(2.0, 2.0, 2.0)) / 5.0;
        assert!((histogram.bits(&tokens) - want).abs() < 1e-12);
    }
}
