//! K-means on the device: greedy k-means++ seeding (Arthur and Vassilvitskii 2007), then Lloyd.
//!
//! rows `[N, F]`, centroids `[K, F]`, a_n the centroid of row n:
//!
//! ```text
//! seeding  c_1 any row; c_i the best of 2 + ln K rows drawn with weight d_n^2, d_n the distance to
//!          the nearest centroid so far; best: with the least sum of d^2 after it
//! Lloyd    a_n = argmin_k |x_n - c_k|     c_k <- mean of the rows of k (an empty one stays)
//! inertia  = sum_n |x_n - c_{a_n}|^2     (in f64, of the centroids as they are returned)
//! ```
//!
//! The same seed gives the same bits on one adapter: all sums run in a fixed order.

use super::clusters::move_to_means;
use super::search;
use crate::error::{Error, Result};
use crate::gpu::{
    BuildOptions, GRID, Gpu, NUMBER, ParameterLayout, Plan, RANDOM, REDUCE, Recorder, StepValues,
    Store, Var, kernels, uniform_struct,
};
use crate::ops::sum;
use crate::options::{CLUSTERS, MAX_ITERATIONS};
use crate::quant::usage;
use crate::quant::vectors::Vectors;
use crate::rng::{self, Stream};

/// Candidates of a seeding step, at most.
pub(crate) const MAX_TRIALS: usize = 16;
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
    "kmeans", [GRID, NUMBER, REDUCE, RANDOM], step [step: u32, seed_low: u32, seed_high: u32];
    FIRST = "first", 1, Params::FIELDS, [Write 10, Step 15];
    DRAW = "draw", 256, Params::FIELDS, [Read 3, Read 5, Write 6, Step 15];
    TRY_CANDIDATES = "try_candidates", 256, Params::FIELDS, [Read 1, Read 3, Read 7, Write 8];
    CHOOSE = "choose", 256, Params::FIELDS, [Read 7, Read 9, Write 10];
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
    let count = rows.len() / features;
    let exponent = exponent_of(rows);
    if count >= options.clusters && exponent.unsigned_abs() > 40 {
        let small = scaled(rows, -exponent);
        let mut found = cluster(gpu, &small, features, options).await?;
        found.centroids = scaled(&found.centroids, exponent);
        found.inertia = inertia(rows, &found.centroids, &found.assignments);
        return Ok(found);
    }
    cluster(gpu, rows, features, options).await
}

/// The exponent of the largest value, as a power of two.
fn exponent_of(rows: &[f32]) -> i32 {
    let largest = rows.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    if largest > 0.0 {
        largest.log2() as i32
    } else {
        0
    }
}

/// The values times two to the power of `exponent`, which rounds nothing: the squares of distances between
/// huge or tiny values would be beyond what float32 holds.
fn scaled(values: &[f32], exponent: i32) -> Vec<f32> {
    let factor = 2_f64.powi(exponent);
    let scale = |v: &f32| (f64::from(*v) * factor) as f32;
    values.iter().map(scale).collect()
}

/// [`kmeans`] of sound rows, whose squares float32 holds.
async fn cluster(
    gpu: &Gpu,
    rows: &[f32],
    features: usize,
    options: KMeansOptions,
) -> Result<KMeans> {
    let job = Job::new(gpu, rows, features, options)?;
    let count = rows.len() / features;
    if count < options.clusters {
        let noise = Stream::named(options.seed, "k-means, tiled rows");
        let value = |i: usize| rows[i % rows.len()] + 1e-3 * noise.normal(i as u32);
        let tiled: Vec<f32> = (0..options.clusters * features).map(value).collect();
        job.lloyd.write(gpu, job.centroids, &tiled)?;
        return job.finish(gpu, rows, 0).await;
    }
    job.seed(gpu)?;
    let mut last = f64::INFINITY;
    let mut iterations = 0;
    while iterations < options.max_iterations {
        job.lloyd.run(gpu, &StepValues::default())?;
        iterations += 1;
        let inertia = f64::from(job.lloyd.read(gpu, job.inertia).await?[0]);
        if last - inertia <= CONVERGED * inertia {
            break;
        }
        last = inertia;
    }
    job.finish(gpu, rows, iterations).await
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
}

/// N, F, K and what follows from them.
struct Sizes {
    clusters: usize,
    params: Params,
}

impl Sizes {
    fn new(count: usize, features: usize, clusters: usize) -> Self {
        let trials = (2 + (clusters as f64).ln() as usize).min(MAX_TRIALS);
        let params = Params {
            count: count as u32,
            features: features as u32,
            blocks: count.div_ceil(256) as u32,
            trials: trials as u32,
            stream: rng::number_of("k-means"),
        };
        Self { clusters, params }
    }

    /// The shapes of what the plans share, in the order of [`Vars`].
    fn shapes(&self) -> [Vec<usize>; 5] {
        let [count, features, blocks] =
            [self.params.count, self.params.features, self.params.blocks].map(|v| v as usize);
        [
            vec![count, features],
            vec![self.clusters, features],
            vec![count],
            vec![blocks],
            vec![1],
        ]
    }
}

/// Rows, centroids, nearest, block sums, chosen.
type Vars = [Var; 5];

/// Records the first centroid.
fn record_first(rec: &mut Recorder<'_>, sizes: &Sizes, vars: Vars) {
    let [x, centroids, nearest, block_sums, chosen] = vars;
    let (params, blocks) = (&sizes.params, sizes.params.blocks as usize);
    let accept = [x, chosen, nearest, block_sums, centroids];
    rec.dispatch(&FIRST, params, &[chosen], 1);
    rec.dispatch_per_group(&ACCEPT, params, &accept, blocks);
}

/// Records a further one.
fn record_next(rec: &mut Recorder<'_>, sizes: &Sizes, vars: Vars) {
    let [x, centroids, nearest, block_sums, chosen] = vars;
    let params = &sizes.params;
    let (trials, blocks) = (params.trials as usize, params.blocks as usize);
    let accept = [x, chosen, nearest, block_sums, centroids];
    let candidates = rec.temporary("candidates", &[trials]);
    let potentials = rec.temporary("potentials", &[trials, blocks]);
    rec.dispatch_per_group(&DRAW, params, &[nearest, block_sums, candidates], 1);
    let tensors = [x, nearest, candidates, potentials];
    rec.dispatch_per_group(&TRY_CANDIDATES, params, &tensors, trials * blocks);
    rec.dispatch_per_group(&CHOOSE, params, &[candidates, potentials, chosen], 1);
    rec.dispatch_per_group(&ACCEPT, params, &accept, blocks);
}

/// Records the assignment of the rows to the centroids, which then move or not. Returns the inertia
/// and the assignments.
fn record_lloyd(rec: &mut Recorder<'_>, sizes: &Sizes, vars: Vars, moves: bool) -> [Var; 2] {
    let [x, centroids, nearest, ..] = vars;
    let vectors = Vectors::rows(rec.shape(x));
    let q = search::search(rec, x, &vectors, centroids);
    rec.keep(q);
    let tensors = [x, q, nearest, centroids];
    rec.dispatch(&DISTANCES, &sizes.params, &tensors, vectors.count());
    let inertia = sum::sum(rec, "inertia", nearest, 1.0);
    if moves {
        let counts = usage::counts(rec, q, sizes.clusters);
        move_to_means(rec, x, q, &vectors, counts, centroids);
    }
    [inertia, q]
}

/// Records what [`kmeans`] runs for `[count, features]` rows, each part once and without a device:
/// the contract tests look at its dispatches.
pub fn record(rec: &mut Recorder<'_>, count: usize, features: usize, clusters: usize) {
    let sizes = Sizes::new(count, features, clusters);
    let vars = sizes.shapes().map(|shape| rec.input("k-means", &shape));
    record_first(rec, &sizes, vars);
    record_next(rec, &sizes, vars);
    record_lloyd(rec, &sizes, vars, true);
}

impl Job {
    fn new(gpu: &Gpu, rows: &[f32], features: usize, options: KMeansOptions) -> Result<Self> {
        let count = rows.len() / features;
        let sizes = Sizes::new(count, features, options.clusters);
        let len = |shape: &Vec<usize>| shape.iter().product();
        let shapes = sizes.shapes();
        let buffers = [
            gpu.storage("rows", bytemuck::cast_slice(rows))?,
            gpu.zeros("centroids", len(&shapes[1]))?,
            gpu.zeros("nearest", len(&shapes[2]))?,
            gpu.zeros("block sums", len(&shapes[3]))?,
            gpu.zeros("chosen", len(&shapes[4]))?,
        ];
        let bind = |rec: &mut Recorder<'_>| -> Vars {
            std::array::from_fn(|i| rec.external("k-means", &shapes[i], &buffers[i]))
        };
        let mut layout = ParameterLayout::default();
        let store = Store::new(gpu, layout.clone(), 0)?;
        let mut plan = |record: &dyn Fn(&mut Recorder<'_>, Vars) -> [Var; 2]| -> Result<_> {
            let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
            let vars = bind(&mut rec);
            let [inertia, q] = record(&mut rec, vars);
            let plan = rec.finish().build(gpu, &store, BuildOptions::default())?;
            Ok((plan, vars[1], inertia, q))
        };
        let (first, ..) = plan(&|rec, vars| {
            record_first(rec, &sizes, vars);
            [vars[0]; 2]
        })?;
        let (next, ..) = plan(&|rec, vars| {
            record_next(rec, &sizes, vars);
            [vars[0]; 2]
        })?;
        let (lloyd, centroids, inertia, _) =
            plan(&|rec, vars| record_lloyd(rec, &sizes, vars, true))?;
        let (assign, _, _, assigned) = plan(&|rec, vars| record_lloyd(rec, &sizes, vars, false))?;
        Ok(Self {
            options,
            first,
            next,
            lloyd,
            assign,
            centroids,
            inertia,
            assigned,
        })
    }

    /// The seeding, a submission a centroid.
    fn seed(&self, gpu: &Gpu) -> Result<()> {
        let seeded = StepValues::default().with_seed(self.options.seed);
        let at = |step: usize| seeded.clone().with("step", step as u32);
        self.first.run(gpu, &at(0))?;
        for k in 1..self.options.clusters {
            self.next.run(gpu, &at(k))?;
        }
        Ok(())
    }

    /// Rows `x` and what they were assigned to at last.
    async fn finish(&self, gpu: &Gpu, x: &[f32], iterations: usize) -> Result<KMeans> {
        self.assign.run(gpu, &StepValues::default())?;
        let centroids = self.lloyd.read(gpu, self.centroids).await?;
        let assignments = self.assign.read_u32(gpu, self.assigned).await?;
        gpu.check("k-means")?;
        Ok(KMeans {
            inertia: inertia(x, &centroids, &assignments),
            centroids,
            assignments,
            iterations,
        })
    }
}

/// Sum of the squared distances of the rows `x` to their centroids.
fn inertia(x: &[f32], centroids: &[f32], assignments: &[u32]) -> f64 {
    let features = x.len() / assignments.len();
    let rows = x.chunks_exact(features).zip(assignments);
    rows.flat_map(|(row, a)| {
        let centroid = &centroids[*a as usize * features..];
        row.iter().zip(centroid)
    })
    .map(|(x, c)| (f64::from(*x) - f64::from(*c)).powi(2))
    .sum()
}
