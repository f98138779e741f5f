//! CRC-32, as gzip has it.

use std::sync::LazyLock;

/// The remainders of single bytes. Made when they are asked for: those of flate2, which takes eight bytes at once, would be
/// 16 kB of the page.
static REMAINDERS: LazyLock<[u32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        (0..8).fold(byte as u32, |rest, _| {
            (rest >> 1) ^ (0xedb8_8320 & (rest & 1).wrapping_neg())
        })
    })
});

/// The checksum of what came before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Crc(u32);

impl Crc {
    /// The same with `bytes` behind.
    #[must_use]
    pub(crate) fn with(self, bytes: &[u8]) -> Self {
        let table = &*REMAINDERS;
        let next = |rest: u32, byte: &u8| (rest >> 8) ^ table[usize::from(rest as u8 ^ byte)];
        Self(!bytes.iter().fold(!self.0, next))
    }

    /// The checksum.
    #[must_use]
    pub(crate) fn sum(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_flate2() {
        let bytes: Vec<u8> = (0..1000_u32).map(|i| (i * i / 7) as u8).collect();
        for cut in [0, 1, 8, 999] {
            let (first, second) = bytes.split_at(cut);
            let mut known = flate2::Crc::new();
            known.update(&bytes);
            assert_eq!(Crc::default().with(first).with(second).sum(), known.sum());
        }
        assert_eq!(Crc::default().with(b"123456789").sum(), 0xcbf4_3926);
    }
}
