//! Counter-based random numbers: a function of (seed, stream, index), the same on every target.

/// The hash `pcg4d` of Jarzynski and Olano, "Hash Functions for GPU Rendering" (JCGT 2020).
#[must_use]
pub fn pcg4d(v: [u32; 4]) -> [u32; 4] {
    let [mut x, mut y, mut z, mut w] =
        v.map(|c| c.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let round = |x: &mut u32, y: &mut u32, z: &mut u32, w: &mut u32| {
        *x = x.wrapping_add(y.wrapping_mul(*w));
        *y = y.wrapping_add(z.wrapping_mul(*x));
        *z = z.wrapping_add(x.wrapping_mul(*y));
        *w = w.wrapping_add(y.wrapping_mul(*z));
    };
    round(&mut x, &mut y, &mut z, &mut w);
    x ^= x >> 16;
    y ^= y >> 16;
    z ^= z >> 16;
    w ^= w >> 16;
    round(&mut x, &mut y, &mut z, &mut w);
    [x, y, z, w]
}

/// The number of the stream called `name`.
#[must_use]
pub fn number_of(name: &str) -> u32 {
    // FNV-1a: any fixed spreading of names over streams would do.
    name.bytes().fold(0x811c_9dc5_u32, |h, b| {
        (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
    })
}

/// A stream of random numbers that can be read at any index.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    seed: u64,
    stream: u32,
}

impl Stream {
    /// The stream number `stream` of `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: u32) -> Self {
        Self { seed, stream }
    }

    /// The stream called `name` of `seed`.
    #[must_use]
    pub fn named(seed: u64, name: &str) -> Self {
        Self::new(seed, number_of(name))
    }

    /// The part of stream `stream` that belongs to `step`: what the kernels draw from, see
    /// `shaders/lib/random.wgsl`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a u64")]
    pub fn at_step(seed: u64, stream: u32, step: u32) -> Self {
        let [a, b, c, _] = pcg4d([seed as u32, (seed >> 32) as u32, stream, step]);
        Self::new(u64::from(a) | u64::from(b) << 32, c)
    }

    /// Four random words at `index`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a u64")]
    pub fn words(&self, index: u32) -> [u32; 4] {
        pcg4d([
            self.seed as u32,
            (self.seed >> 32) as u32,
            self.stream,
            index,
        ])
    }

    /// Uniform in [0, 1) at `index`.
    #[must_use]
    pub fn uniform(&self, index: u32) -> f32 {
        unit(self.words(index)[0])
    }

    /// Standard normal at `index` (Box-Muller).
    #[must_use]
    pub fn normal(&self, index: u32) -> f32 {
        let [a, b, ..] = self.words(index);
        let radius = (-2.0 * libm::log(1.0 - f64::from(unit(a)))).sqrt();
        (radius * libm::cos(std::f64::consts::TAU * f64::from(unit(b)))) as f32
    }

    /// A random order of `0..n` (Fisher-Yates).
    #[must_use]
    pub fn permutation(&self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            let [a, ..] = self.words(i);
            let j = (u64::from(a) * u64::from(i + 1)) >> 32;
            order.swap(i as usize, j as usize);
        }
        order
    }
}

/// The top 24 bits as a number in [0, 1).
fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / 16_777_216.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_stream_has_its_moments() {
        let stream = Stream::new(7, 3);
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|i| f64::from(stream.normal(i))).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.01, "mean {mean}");
        assert!((var - 1.0).abs() < 0.02, "variance {var}");
    }

    #[test]
    fn a_permutation_holds_each_index_once() {
        let mut order = Stream::new(1, 2).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, v)| i == *v as usize));
    }
}
