//! Damage to files, a function of a seed.

/// Vigna's splitmix64.
pub struct Rng(u64);

impl Rng {
    /// The numbers of mutant `index` of `kind`.
    pub fn new(kind: &str, index: usize) -> Self {
        let name = kind.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(name ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// Numbers at which sizes, signs and types end.
const EDGES: [u64; 14] = [
    0,
    1,
    3,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// What stands in the place of a number or a word in a text.
const WORDS: [&str; 24] = [
    "2",
    "0.25",
    "false",
    "300",
    "0",
    "-1",
    "1",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "99999999999999999999",
    "1e999",
    "-1e308",
    "1e-320",
    "0.5",
    "NaN",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[[[[[[[[",
    "\u{0}",
    "\"\u{fffd}\\ud800\"",
];

/// Damages `bytes` once to three times; `other` is a sound file of the kind to splice from. The
/// first `head` bytes are where sizes stand.
pub fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8], head: usize) {
    for _ in 0..1 + rng.below(3) {
        let size = bytes.len();
        // Half of the damage to the head: behind it there is little that can go wrong.
        let place = if rng.coin() { head.min(size) } else { size };
        let at = rng.below(place);
        match rng.below(7) {
            0 | 1 => {
                for _ in 0..1 + rng.below(4) {
                    let at = (at + rng.below(8)).min(size.saturating_sub(1));
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << rng.below(8);
                    }
                }
            }
            2 => bytes.truncate(at),
            3 => {
                let from = rng.below(other.len());
                let until = (from + 1 + rng.below(64)).min(other.len());
                let end = if rng.coin() {
                    at
                } else {
                    (at + until - from).min(size)
                };
                bytes.splice(at..end, other[from..until].iter().copied());
            }
            4 => {
                let width = rng.pick(&[1, 2, 4, 8]);
                let number = rng.pick(&EDGES);
                let number = if rng.coin() {
                    number.to_le_bytes()[..width].to_vec()
                } else {
                    number.to_be_bytes()[8 - width..].to_vec()
                };
                // Sizes mostly stand where they are aligned.
                let at = if rng.coin() { at / width * width } else { at };
                let end = (at + width).min(size);
                bytes.splice(at.min(end)..end, number);
            }
            5 => {
                let until = (at + rng.below(32)).min(size);
                bytes.drain(at..until);
            }
            _ => word(rng, bytes, at),
        }
    }
}

/// Replaces the number or the word at or behind `at`.
fn word(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b".+-_".contains(byte);
    let Some(from) = bytes[at..].iter().position(is_word) else {
        return;
    };
    let from = at + from;
    let length = bytes[from..].iter().position(|b| !is_word(b));
    let until = length.map_or(bytes.len(), |n| from + n);
    bytes.splice(from..until, rng.pick(&WORDS).bytes());
}

/// Replaces a value of a JSON object, which stays one.
pub fn value(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let colons = bytes.iter().enumerate().filter(|(_, b)| **b == b':');
    let colons: Vec<usize> = colons.map(|(at, _)| at).collect();
    let Some(at) = colons.get(rng.below(colons.len())) else {
        return;
    };
    let ends = |b: &u8| b",}]\n".contains(b);
    let length = bytes[at + 1..].iter().position(ends).unwrap_or(0);
    bytes.splice(at + 1..at + 1 + length, rng.pick(&WORDS).bytes());
}
