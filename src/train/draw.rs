//! New pictures: codes drawn from how often each was used, and what the model makes of them.
//!
//! Each position has a code of its own, drawn independently of the others: what a codebook can say without knowing
//! how codes stand together. [`Session::draw`] is [`Session::draw_codes`], then [`Session::decode`]; a prior that does
//! know takes the place of the former.

use super::Session;
use super::codes::{code_maps, no_codes};
use crate::data::{Codes, Images, Source as _};
use crate::error::{Error, Result};
use crate::gpu::{ParameterLayout, Recorder};
use crate::models::Builder;
use crate::rng::Stream;

/// Training images that are encoded where no step has counted codes yet, at most.
const COUNTED: usize = 64;

/// How often each code was used: integers, so that a draw is exact, the same natively and in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Uses of each code and of those before it `[K]`.
    sums: Vec<u64>,
}

impl Histogram {
    /// That of codes with these counts `[K]`; `None` where none of them was used.
    #[must_use]
    pub fn new(counts: &[u64]) -> Option<Self> {
        let add = |sum: &mut u64, count: &u64| {
            *sum += count;
            Some(*sum)
        };
        let sums: Vec<u64> = counts.iter().scan(0, add).collect();
        sums.last()
            .is_some_and(|all| *all > 0)
            .then_some(Self { sums })
    }

    /// The code at `random`, 64 random bits as a share of all uses: the inverse of the distribution function. Each code
    /// has its share to within one in 2^64.
    #[must_use]
    pub fn code(&self, random: u64) -> usize {
        let all = u128::from(self.sums.last().copied().unwrap_or(0));
        let at = (u128::from(random) * all) >> 64;
        self.sums.partition_point(|sum| u128::from(*sum) <= at)
    }
}

/// The random bits of position `index` of the quantiser of number `quantizer`: of seed and place alone, so that models
/// with the same positions are drawn with the same.
fn random(seed: u64, quantizer: usize, index: usize) -> u64 {
    let stream = Stream::named(seed, &format!("draw {quantizer}"));
    let [low, high, ..] = stream.words(index as u32);
    u64::from(high) << 32 | u64::from(low)
}

impl Session {
    /// How often each code of each quantiser was used: over the last epoch's worth of vectors, or, before the first step,
    /// by the first training images.
    ///
    /// # Errors
    /// [`Error::Config`] where nothing is quantised, or no code was used; as [`Self::code_usage`] and [`Self::encode`].
    pub async fn histograms(&self) -> Result<Vec<Histogram>> {
        let mut all = Vec::new();
        for (number, (_, seen)) in self.seen.iter().enumerate() {
            let usage = self.code_usage(number).await?;
            // Whole numbers, as they were counted.
            let counts = usage.iter().flat_map(|u| &u.counts).map(|c| *c as u64);
            let found = match Histogram::new(&counts.collect::<Vec<_>>()) {
                Some(found) => Some(found),
                None => Histogram::new(&self.counted(number, seen.codes).await?),
            };
            all.push(found.ok_or_else(|| Error::Config("no code has been used yet".into()))?);
        }
        match all.is_empty() {
            true => Err(no_codes()),
            false => Ok(all),
        }
    }

    /// Uses of the codes of a quantiser by the first training images.
    async fn counted(&self, quantizer: usize, codes: usize) -> Result<Vec<u64>> {
        let train = &self.data().train;
        let images = Images {
            shape: train.shape(),
            pixels: train.read_range(0..train.len().min(COUNTED))?,
            labels: None,
        };
        let mut counts = vec![0; codes];
        for code in &self.encode(&images).await?[quantizer].values {
            counts[code.cast_unsigned() as usize] += 1;
        }
        Ok(counts)
    }

    /// The shape of the codes of `count` images of the data's shape, `[count, H, W]`, for each quantiser.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the images do not fit the model.
    pub fn code_shapes(&self, count: usize) -> Result<Vec<Vec<usize>>> {
        let mut layout: ParameterLayout = self.store.layout().clone();
        let mut rec = Recorder::new(&mut layout, false);
        let [c, h, w] = self.data().shape();
        let images = rec.input("images", &[count, c, h, w]);
        let mut net = Builder::new(&mut rec, 0.0);
        self.model.encode(&mut net, images)?;
        let seen = net.seen().to_vec();
        let maps = code_maps(&rec, self.model.as_ref(), &seen)?;
        Ok(maps.into_iter().map(|(_, shape)| shape).collect())
    }

    /// Codes for `count` new images, each drawn by itself from [`Self::histograms`]; a function of the histogram, the seed
    /// and the place.
    ///
    /// # Errors
    /// As [`Self::histograms`] and [`Self::code_shapes`].
    pub async fn draw_codes(&self, count: usize, seed: u64) -> Result<Vec<Codes>> {
        let histograms = self.histograms().await?;
        let one = |(number, (histogram, shape)): (usize, (&Histogram, Vec<usize>))| {
            let places = 0..shape.iter().product();
            let code = |index| histogram.code(random(seed, number, index)) as i32;
            Codes {
                values: places.map(code).collect(),
                shape,
            }
        };
        let shapes = self.code_shapes(count)?;
        let each = histograms.iter().zip(shapes).enumerate();
        Ok(each.map(one).collect())
    }

    /// `count` new pictures of the data's shape, drawn from the codebook as the model is now; the same for the same seed
    /// and step.
    ///
    /// # Errors
    /// As [`Self::draw_codes`] and [`Self::decode`].
    pub async fn draw(&self, count: usize, seed: u64) -> Result<Images> {
        self.decode(&self.draw_codes(count, seed).await?).await
    }
}
