//! Code maps as sequences: those of each quantiser row by row, one quantiser after the other.

use serde::{Deserialize, Serialize};

use crate::data::Codes;
use crate::error::{Error, Result};

/// The code maps of one quantiser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// `[H, W]`, or whatever axes z has besides features and images.
    pub shape: Vec<usize>,
    /// K, the number of its codes.
    pub codes: usize,
}

impl Map {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// How the codes of an image stand in a sequence. The codes of different quantisers are different tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequences {
    /// The maps, in the order of the quantisers.
    pub maps: Vec<Map>,
}

impl Sequences {
    /// The sequences of `codes`, those of each quantiser, which has as many codes as `numbers` says.
    #[must_use]
    pub fn of(codes: &[Codes], numbers: &[usize]) -> Self {
        let maps = codes.iter().zip(numbers).map(|(codes, number)| Map {
            shape: codes.shape[1..].to_vec(),
            codes: *number,
        });
        Self {
            maps: maps.collect(),
        }
    }

    /// L, positions of a sequence.
    #[must_use]
    pub fn length(&self) -> usize {
        self.maps.iter().map(Map::len).sum()
    }

    /// V, codes of all quantisers together.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.maps.iter().map(|m| m.codes).sum()
    }

    /// For each map its first position and its first token.
    fn starts(&self) -> impl Iterator<Item = (&Map, usize, usize)> {
        let (mut position, mut token) = (0, 0);
        self.maps.iter().map(move |map| {
            let start = (map, position, token);
            position += map.len();
            token += map.codes;
            start
        })
    }

    /// For each position the first token that it can have, and how many `[L, 2]`.
    #[must_use]
    pub fn ranges(&self) -> Vec<u32> {
        let of = |(map, _, token): (&Map, usize, usize)| {
            [token as u32, map.codes as u32].repeat(map.len())
        };
        self.starts().flat_map(of).collect()
    }

    /// The tokens `[B, L]` of `codes`.
    ///
    /// # Errors
    /// [`Error::Config`] when they are other maps, or one is none of its quantiser's.
    pub fn tokens_of(&self, codes: &[Codes]) -> Result<Vec<u32>> {
        let shapes = || codes.iter().map(|c| c.shape.get(1..).unwrap_or_default());
        let images = codes.first().map_or(0, Codes::len);
        let same = shapes().eq(self.maps.iter().map(|m| &m.shape[..]));
        if !same || codes.iter().any(|c| c.len() != images) {
            return Err(Error::Config(format!(
                "the codes are maps {:?}, the prior is of {:?}",
                shapes().collect::<Vec<_>>(),
                self.maps.iter().map(|m| &m.shape).collect::<Vec<_>>()
            )));
        }
        let length = self.length();
        let mut tokens = vec![0; images * length];
        for ((map, position, token), codes) in self.starts().zip(codes) {
            for (image, values) in codes.values.chunks(map.len()).enumerate() {
                for (i, code) in values.iter().enumerate() {
                    let code = usize::try_from(*code).ok().filter(|c| *c < map.codes);
                    let code = code.ok_or_else(|| {
                        Error::Config(format!(
                            "code {} does not exist: there are {}",
                            values[i], map.codes
                        ))
                    })?;
                    tokens[image * length + position + i] = (token + code) as u32;
                }
            }
        }
        Ok(tokens)
    }

    /// The codes that `tokens` `[B, L]` stand for.
    #[must_use]
    pub fn codes_of(&self, tokens: &[u32]) -> Vec<Codes> {
        let length = self.length();
        let images = tokens.len() / length;
        let of = |(map, position, token): (&Map, usize, usize)| {
            let rows = tokens.chunks(length);
            let own = rows.flat_map(|row| &row[position..position + map.len()]);
            Codes {
                shape: std::iter::once(images).chain(map.shape.clone()).collect(),
                values: own.map(|t| (*t as usize - token) as i32).collect(),
            }
        };
        self.starts().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_two_quantisers_there_and_back() {
        let codes = [
            Codes {
                shape: vec![2, 1, 2],
                values: vec![0, 3, 2, 1],
            },
            Codes {
                shape: vec![2, 3],
                values: vec![5, 4, 3, 2, 1, 0],
            },
        ];
        let sequences = Sequences::of(&codes, &[4, 6]);
        assert_eq!((sequences.length(), sequences.tokens()), (5, 10));
        let tokens = sequences.tokens_of(&codes).unwrap();
        assert_eq!(tokens, [0, 3, 9, 8, 7, 2, 1, 6, 5, 4]);
        assert_eq!(sequences.codes_of(&tokens), codes);
        assert_eq!(sequences.ranges(), [0, 4, 0, 4, 4, 6, 4, 6, 4, 6]);
        assert!(Sequences::of(&codes, &[4, 5]).tokens_of(&codes).is_err());
        assert!(sequences.tokens_of(&codes[..1]).is_err());
    }
}
