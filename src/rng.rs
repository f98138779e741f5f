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

    /// Standard Gumbel noise at `index`, as `shaders/posterior.wgsl` draws it: four of each index of words.
    #[must_use]
    pub fn gumbel(&self, index: u32) -> f32 {
        let word = self.words(index / 4)[index as usize % 4];
        let u = (f64::from(word >> 9) + 0.5) / 8_388_608.0;
        -libm::log(-libm::log1p(-u)) as f32
    }

    /// Element `index` of a random order of `0..count` (at most 2^24) that needs no memory: what the
    /// kernels draw distinct rows by. Behind the last element another order begins.
    #[must_use]
    pub fn distinct(&self, index: u32, count: u32) -> u32 {
        let lap = index / count;
        let [a, b] = [self.words(2 * lap), self.words(2 * lap + 1)];
        let bits = (32 - (count - 1).leading_zeros()).max(1);
        let (mask, half) = ((1_u32 << bits) - 1, bits.div_ceil(2));
        let mut n = index % count;
        for _ in 0..64 {
            for [add, factor] in [[a[0], a[1]], [a[2], a[3]], [b[0], b[1]], [b[2], b[3]]] {
                n = (n ^ add).wrapping_mul(factor | 1) & mask;
                n ^= n >> half;
            }
            if n < count {
                break;
            }
        }
        n.min(count - 1)
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
    fn distinct_elements_are_an_order_and_another_one_behind_it() {
        for count in [1, 2, 3, 5, 64, 127, 1000, 4097] {
            let stream = Stream::at_step(9, 4, count);
            let lap = |at: u32| -> Vec<u32> {
                let all = (0..count).map(|i| stream.distinct(at * count + i, count));
                all.collect()
            };
            let (first, second) = (lap(0), lap(1));
            for order in [&first, &second] {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            }
            assert!(count < 64 || first != second);
        }
    }

    #[test]
    fn a_distinct_element_is_any_as_often() {
        const COUNT: u32 = 37;
        let mut found = [0_u32; COUNT as usize];
        for step in 0..10_000 {
            let stream = Stream::at_step(1, 2, step);
            found[stream.distinct(3, COUNT) as usize] += 1;
        }
        // 270 on average, with a deviation of 16.
        assert!(found.iter().all(|n| (190..350).contains(n)), "{found:?}");
    }

    #[test]
    fn a_permutation_holds_each_index_once() {
        let mut order = Stream::new(1, 2).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, v)| i == *v as usize));
    }
}
