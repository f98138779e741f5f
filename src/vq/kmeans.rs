//! K-means on the device: greedy k-means++ seeding (Arthur and Vassilvitskii 2007), then Lloyd.
//!
//! rows `[N, F]`, centroids `[K, F]`, a_n the centroid of row n:
//!
//! ```text
//! seeding  c_1 any row; c_i the best of 2 + ln K rows drawn with weight d_n^2, d_n the distance to
//!          the nearest centroid so far; best: with the least sum of d^2 after it
//! Lloyd    a_n = argmin_k |x_n - c_k|     c_k <- mean of the rows of k (an empty one stays)
//! inertia  = sum_n |x_n - c_{a_n}|^2
//! ```
//!
//! The same seed gives the same bits on one adapter: all sums run in a fixed order.

use super::clusters::clusters;
use super::{Vectors, search, usage};
use crate::error::{Error, Result};
use crate::gpu::{
    BuildOptions, Gpu, ParameterLayout, Plan, Recorder, StepUniform, Store, Var, uniform_struct,
};
use crate::ops::{GRID, RANDOM, REDUCE, STEP, kernels, sum};
use crate::options::{CLUSTERS, MAX_ITERATIONS};
use crate::rng::{self, Stream};

const MAX_TRIALS: usize = 16;
/// Lloyd ends when the inertia falls by less than this share.
const CONVERGED: f64 = 1e-6;

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        features: u32,
        blocks: u32,
        trials: u32,
        stream: u32,
    }
}

kernels! {
    "kmeans", [GRID, REDUCE, STEP, RANDOM];
    FIRST = "first", 1, Params::FIELDS, [Write 10, Step 15];
    DRAW = "draw", 16, Params::FIELDS, [Read 3, Read 5, Write 6, Step 15];
    TRY_CANDIDATES = "try_candidates", 256, Params::FIELDS, [Read 1, Read 3, Read 7, Write 8];
    CHOOSE = "choose", 1, Params::FIELDS, [Read 7, Read 9, Write 10];
    ACCEPT = "accept", 256, Params::FIELDS, [Read 1, Read 11, Write 2, Write 4, Write 12, Step 15];
    DISTANCES = "distances", 256, Params::FIELDS, [Read 1, Read 7, Write 2, Write 12];
}

/// Options of [`kmeans`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KMeansOptions {
    /// K
    pub clusters: usize,
    /// Seed of the seeding.
    pub seed: u64,
    /// Lloyd iterations at most.
    pub max_iterations: usize,
}

impl KMeansOptions {
    /// Up to 300 iterations for `clusters` centroids.
    #[must_use]
    pub fn new(clusters: usize, seed: u64) -> Self {
        Self {
            clusters,
            seed,
            max_iterations: 300,
        }
    }
}

/// What [`kmeans`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    /// `[K, F]`
    pub centroids: Vec<f32>,
    /// The centroid of each row `[N]`.
    pub assignments: Vec<u32>,
    /// Sum of the squared distances of the rows to their centroids.
    pub inertia: f64,
    /// Lloyd iterations done.
    pub iterations: usize,
}

/// Clusters `rows` `[N, F]`. With fewer rows than clusters the centroids are the rows, repeated, with
/// noise of deviation 1e-3.
///
/// # Errors
/// [`Error::Config`] when there are no rows, the length is no multiple of `features`, or a value is
/// not finite; [`Error::Option`] when an option is out of range; [`Error::Limit`] when the rows are too many for the device.
pub async fn kmeans(
    gpu: &Gpu,
    rows: &[f32],
    features: usize,
    options: KMeansOptions,
) -> Result<KMeans> {
    let refuse = |message: String| Err(Error::Config(format!("k-means: {message}")));
    if features == 0 || rows.is_empty() || !rows.len().is_multiple_of(features) {
        return refuse(format!(
            "{} values are no rows of {features} features",
            rows.len()
        ));
    }
    let options_in_range = CLUSTERS
        .check(options.clusters)
        .and_then(|()| MAX_ITERATIONS.check(options.max_iterations));
    options_in_range.map_err(|e| e.within(CLUSTERS.group))?;
    if let Some(at) = rows.iter().position(|v| !v.is_finite()) {
        return refuse(format!("row {} holds {}", at / features, rows[at]));
    }
    let job = Job::new(gpu, rows, features, options)?;
    let count = rows.len() / features;
    if count < options.clusters {
        let noise = Stream::named(options.seed, "k-means, tiled rows");
        let value = |i: usize| rows[i % rows.len()] + 1e-3 * noise.normal(i as u32);
        let tiled: Vec<f32> = (0..options.clusters * features).map(value).collect();
        job.lloyd.write(gpu, job.centroids, &tiled)?;
        return job.finish(gpu, 0).await;
    }
    job.seed(gpu);
    let mut last = f64::INFINITY;
    let mut iterations = 0;
    while iterations < options.max_iterations {
        job.lloyd.run(gpu, &StepUniform::default());
        iterations += 1;
        let inertia = f64::from(job.lloyd.read(gpu, job.inertia).await?[0]);
        if last - inertia <= CONVERGED * inertia {
            break;
        }
        last = inertia;
    }
    job.finish(gpu, iterations).await
}

/// The plans of a clustering. Rows and centroids lie in buffers of the first one.
struct Job {
    options: KMeansOptions,
    first: Plan,
    next: Plan,
    lloyd: Plan,
    assign: Plan,
    centroids: Var,
    inertia: Var,
    assigned: Var,
    assigned_inertia: Var,
}

/// The buffers that the plans share.
struct Shared {
    rows: wgpu::Buffer,
    centroids: wgpu::Buffer,
    nearest: wgpu::Buffer,
    block_sums: wgpu::Buffer,
    chosen: wgpu::Buffer,
}

impl Job {
    fn new(gpu: &Gpu, rows: &[f32], features: usize, options: KMeansOptions) -> Result<Self> {
        let count = rows.len() / features;
        let clusters = options.clusters;
        let blocks = count.div_ceil(256);
        let trials = (2 + (clusters as f64).ln() as usize).min(MAX_TRIALS);
        let params = Params {
            count: count as u32,
            features: features as u32,
            blocks: blocks as u32,
            trials: trials as u32,
            stream: rng::number_of("k-means"),
        };
        let shared = Shared {
            rows: gpu.storage("rows", bytemuck::cast_slice(rows))?,
            centroids: gpu.zeros("centroids", clusters * features)?,
            nearest: gpu.zeros("nearest", count)?,
            block_sums: gpu.zeros("block sums", blocks)?,
            chosen: gpu.zeros("chosen", 1)?,
        };
        let shapes = [
            (&shared.rows, vec![count, features]),
            (&shared.centroids, vec![clusters, features]),
            (&shared.nearest, vec![count]),
            (&shared.block_sums, vec![blocks]),
            (&shared.chosen, vec![1]),
        ];
        let bind = |rec: &mut Recorder<'_>| {
            let vars: Vec<Var> = shapes
                .iter()
                .map(|(buffer, shape)| rec.external("k-means", shape, buffer))
                .collect();
            [vars[0], vars[1], vars[2], vars[3], vars[4]]
        };
        let mut layout = ParameterLayout::default();
        let store = Store::new(gpu, layout.clone(), 0)?;
        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let [x, centroids, nearest, block_sums, chosen] = bind(&mut rec);
        let accept = [x, chosen, nearest, block_sums, centroids];
        rec.dispatch(&FIRST, &params, &[chosen], 1);
        rec.dispatch_per_group(&ACCEPT, &params, &accept, blocks);
        let first = rec.finish().build(gpu, &store, BuildOptions::default())?;

        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let [x, centroids, nearest, block_sums, chosen] = bind(&mut rec);
        let accept = [x, chosen, nearest, block_sums, centroids];
        let candidates = rec.temporary("candidates", &[trials]);
        let potentials = rec.temporary("potentials", &[trials, blocks]);
        rec.dispatch_per_group(&DRAW, &params, &[nearest, block_sums, candidates], 1);
        let tensors = [x, nearest, candidates, potentials];
        rec.dispatch_per_group(&TRY_CANDIDATES, &params, &tensors, blocks);
        rec.dispatch(&CHOOSE, &params, &[candidates, potentials, chosen], 1);
        rec.dispatch_per_group(&ACCEPT, &params, &accept, blocks);
        let next = rec.finish().build(gpu, &store, BuildOptions::default())?;

        let mut lloyd = |moves: bool| -> Result<_> {
            let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
            let [x, centroids, nearest, ..] = bind(&mut rec);
            let vectors = Vectors::rows(&[count, features]);
            let q = search::search(&mut rec, x, &vectors, centroids);
            rec.keep(q);
            let tensors = [x, q, nearest, centroids];
            rec.dispatch(&DISTANCES, &params, &tensors, count);
            let inertia = sum::sum(&mut rec, "inertia", nearest, 1.0);
            if moves {
                let counts = usage::counts(&mut rec, q, clusters);
                let found = self::clusters(&mut rec, x, q, &vectors, counts);
                found.move_centroids(&mut rec, centroids);
            }
            let plan = rec.finish().build(gpu, &store, BuildOptions::default())?;
            Ok((plan, centroids, inertia, q))
        };
        let (lloyd_plan, centroids, inertia, _) = lloyd(true)?;
        let (assign, _, assigned_inertia, assigned) = lloyd(false)?;
        Ok(Self {
            options,
            first,
            next,
            lloyd: lloyd_plan,
            assign,
            centroids,
            inertia,
            assigned,
            assigned_inertia,
        })
    }

    /// The seeding, a submission a centroid.
    fn seed(&self, gpu: &Gpu) {
        let at = |step: usize| {
            StepUniform {
                step: step as u32,
                ..StepUniform::default()
            }
            .with_seed(self.options.seed)
        };
        self.first.run(gpu, &at(0));
        for k in 1..self.options.clusters {
            self.next.run(gpu, &at(k));
        }
    }

    async fn finish(&self, gpu: &Gpu, iterations: usize) -> Result<KMeans> {
        self.assign.run(gpu, &StepUniform::default());
        let found = KMeans {
            centroids: self.lloyd.read(gpu, self.centroids).await?,
            assignments: self.assign.read_u32(gpu, self.assigned).await?,
            inertia: f64::from(self.assign.read(gpu, self.assigned_inertia).await?[0]),
            iterations,
        };
        gpu.check("k-means")?;
        Ok(found)
    }
}
