//! A prior on a device: training and evaluation.

use std::sync::Arc;

use super::cross_entropy::cross_entropy;
use super::embedding::sorted;
use super::options::PriorOptions;
use super::sequences::Sequences;
use super::transformer::Transformer;
use crate::error::{Error, Result};
use crate::gpu::{BuildOptions, Gpu, ParameterLayout, Plan, Recorder, StepValues, Store, Var};
use crate::optim::Optimizer;
use crate::rng::Stream;

/// Codes that a position is drawn from: what an invocation can look through for the likeliest ones.
const MAX_TOKENS: usize = 1 << 18;

/// Tokens of images `[B, L]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    length: usize,
    values: Vec<u32>,
}

impl Tokens {
    /// `values` `[B, L]` of sequences of `length`.
    #[must_use]
    pub fn new(length: usize, values: Vec<u32>) -> Self {
        Self { length, values }
    }

    /// B.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.length.max(1)
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them `[B, L]`.
    #[must_use]
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    fn image(&self, at: usize) -> &[u32] {
        &self.values[at * self.length..(at + 1) * self.length]
    }

    /// Those of the images `at`, one after the other.
    fn pick(&self, at: impl Iterator<Item = usize>) -> Vec<u32> {
        at.flat_map(|at| self.image(at).iter().copied()).collect()
    }
}

/// The code before each of `tokens` `[B, L]`; `start` before the first.
fn before(tokens: &[u32], length: usize, start: u32) -> Vec<u32> {
    let shifted = |row: &[u32]| {
        let rest = row[..length - 1].to_vec();
        std::iter::once(start).chain(rest).collect::<Vec<u32>>()
    };
    tokens.chunks(length).flat_map(shifted).collect()
}

/// A plan that foretells the codes of a batch.
#[derive(Debug)]
struct Foretelling {
    plan: Plan,
    before: Var,
    goal: Var,
    sorted: Option<[Var; 2]>,
    loss: Var,
    losses: Var,
}

impl Foretelling {
    /// Writes a batch of `tokens` `[B, L]`.
    fn write(&self, gpu: &Gpu, sequences: &Sequences, tokens: &[u32]) -> Result<()> {
        let start = sequences.tokens() as u32;
        let before = before(tokens, sequences.length(), start);
        if let Some(vars) = self.sorted {
            for (var, values) in vars.into_iter().zip(sorted(&before, start as usize + 1)) {
                self.plan.write(gpu, var, &values)?;
            }
        }
        self.plan.write(gpu, self.before, &before)?;
        self.plan.write(gpu, self.goal, tokens)
    }
}

/// How far training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trained {
    /// Steps done.
    pub step: u32,
    /// Bits a code of the step's batch, with the parameters before it.
    pub bits: f64,
}

/// An autoregressive prior over code maps.
#[derive(Debug)]
pub struct Prior {
    pub(super) gpu: Arc<Gpu>,
    pub(super) options: PriorOptions,
    pub(super) sequences: Sequences,
    pub(super) store: Store,
    training: Option<Foretelling>,
    pub(super) step: u32,
}

impl Prior {
    /// A prior over codes that stand as `sequences` says, its parameters drawn by the seed.
    ///
    /// # Errors
    /// Those of [`PriorOptions::validate`]; [`Error::Config`] when there are too many codes; [`crate::ShapeError`] when the maps are too large; [`Error::Limit`] when the
    /// parameters are too large for the device.
    pub fn new(gpu: Arc<Gpu>, sequences: Sequences, options: PriorOptions) -> Result<Self> {
        options.validate()?;
        let tokens = sequences.tokens();
        if tokens > MAX_TOKENS {
            return Err(Error::Config(format!(
                "the model has {tokens} codes, a prior takes at most {MAX_TOKENS}"
            )));
        }
        let mut layout = ParameterLayout::default();
        Self::record(&gpu, &mut layout, &options, &sequences, 1, false)?;
        let store = Store::new(&gpu, layout, options.seed)?;
        Ok(Self {
            gpu,
            options,
            sequences,
            store,
            training: None,
            step: 0,
        })
    }

    /// Records a batch of `count` images; a training step, or what comes of its codes.
    fn record<'a>(
        gpu: &Gpu,
        layout: &'a mut ParameterLayout,
        options: &PriorOptions,
        sequences: &Sequences,
        count: usize,
        training: bool,
    ) -> Result<(Recorder<'a>, [Var; 5], Option<[Var; 2]>)> {
        let mut rec = Recorder::new(layout, training).tuned_for(gpu);
        let rows = count * sequences.length();
        let before = rec.input("codes before", &[rows]);
        let goal = rec.input("codes", &[rows]);
        let ranges = rec.input("ranges", &[sequences.length(), 2]);
        let sorted = training.then(|| {
            let order = rec.input("rows by code", &[rows]);
            [order, rec.input("first rows", &[sequences.tokens() + 2])]
        });
        let net = Transformer::new(options, sequences, count);
        let logits = net.record(&mut rec, before, sorted)?;
        let foretold = cross_entropy(&mut rec, logits, goal, ranges, 1.0)?;
        rec.keep(foretold.losses);
        if training {
            rec.backward()?;
            Optimizer::default().record(&mut rec);
        }
        let vars = [before, goal, ranges, foretold.loss, foretold.losses];
        Ok((rec, vars, sorted))
    }

    fn foretelling(&self, count: usize, training: bool) -> Result<Foretelling> {
        let mut layout = self.store.layout().clone();
        let (rec, vars, sorted) = Self::record(
            &self.gpu,
            &mut layout,
            &self.options,
            &self.sequences,
            count,
            training,
        )?;
        let [before, goal, ranges, loss, losses] = vars;
        let plan = rec
            .finish()
            .build(&self.gpu, &self.store, BuildOptions::default())?;
        plan.write(&self.gpu, ranges, &self.sequences.ranges())?;
        Ok(Foretelling {
            plan,
            before,
            goal,
            sorted,
            loss,
            losses,
        })
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &PriorOptions {
        &self.options
    }

    /// How codes stand in its sequences.
    #[must_use]
    pub fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    /// Steps done.
    #[must_use]
    pub fn steps_done(&self) -> u32 {
        self.step
    }

    /// Numbers that are trained.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        let parameters = self.store.layout().parameters().iter();
        parameters.map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// Images of a step, of `images`.
    fn batch(&self, images: usize) -> usize {
        self.options.batch.min(images)
    }

    /// The images of step `step` (from 0), of `images`: each epoch has an order of its own.
    fn chosen(&self, step: u32, images: usize) -> impl Iterator<Item = usize> {
        let batch = self.batch(images);
        let steps = (images / batch) as u32;
        let name = format!("prior epoch {}", step / steps);
        let order = Stream::named(self.options.seed, &name).permutation(images as u32);
        let first = (step % steps) as usize * batch;
        order
            .into_iter()
            .skip(first)
            .take(batch)
            .map(|i| i as usize)
    }

    /// Makes `count` steps on `tokens`; how far it is then.
    ///
    /// # Errors
    /// [`Error::Config`] when there are no images; [`Error::NotFinite`] when the loss is not; [`Error::Gpu`] when the
    /// device fails; as [`Self::new`].
    pub async fn train(&mut self, tokens: &Tokens, count: u32) -> Result<Trained> {
        if tokens.is_empty() {
            return Err(Error::Config(
                "there are no images to train a prior on".into(),
            ));
        }
        let training = match self.training.take() {
            Some(training) => training,
            None => self.foretelling(self.batch(tokens.len()), true)?,
        };
        let made = self.make(&training, tokens, count).await;
        self.training = Some(training);
        made
    }

    async fn make(
        &mut self,
        training: &Foretelling,
        tokens: &Tokens,
        count: u32,
    ) -> Result<Trained> {
        for _ in 0..count {
            let batch = tokens.pick(self.chosen(self.step, tokens.len()));
            training.write(&self.gpu, &self.sequences, &batch)?;
            let step = self.step + 1;
            let values = Optimizer::default()
                .step(step, self.options.lr_of(step))
                .with("position", 0_u32);
            training.plan.run(&self.gpu, &values)?;
            self.step = step;
        }
        let loss = f64::from(training.plan.read(&self.gpu, training.loss).await?[0]);
        if !loss.is_finite() {
            return Err(Error::Config(format!(
                "the prior diverged: its loss is {loss} at step {}; take a smaller lr than {}",
                self.step, self.options.lr
            )));
        }
        Ok(Trained {
            step: self.step,
            bits: loss / std::f64::consts::LN_2,
        })
    }

    /// Bits a code of `tokens`, the mean over all.
    ///
    /// # Errors
    /// [`Error::Config`] when there are none; [`Error::Gpu`] when the device fails.
    pub async fn bits(&self, tokens: &Tokens) -> Result<f64> {
        let images = tokens.len();
        if images == 0 {
            return Err(Error::Config("there are no images to foretell".into()));
        }
        let batch = self.batch(images);
        let plan = self.foretelling(batch, false)?;
        let length = self.sequences.length();
        let mut sum = 0.0;
        for first in (0..images).step_by(batch) {
            // The last batch is filled up with its last image.
            let all = (first..first + batch).map(|at| at.min(images - 1));
            let losses = self.foretell(&plan, &tokens.pick(all)).await?;
            let own = batch.min(images - first) * length;
            sum += losses[..own].iter().map(|l| f64::from(*l)).sum::<f64>();
        }
        Ok(sum / (images * length) as f64 / std::f64::consts::LN_2)
    }

    /// The cross-entropy of each code of `tokens`, all of them at once, in nats `[B, L]`.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails; [`Error::Limit`] when they are too many for it.
    pub async fn losses(&self, tokens: &Tokens) -> Result<Vec<f32>> {
        let plan = self.foretelling(tokens.len(), false)?;
        self.foretell(&plan, &tokens.values).await
    }

    async fn foretell(&self, plan: &Foretelling, tokens: &[u32]) -> Result<Vec<f32>> {
        plan.write(&self.gpu, &self.sequences, tokens)?;
        let values = StepValues::default().with("position", 0_u32);
        plan.plan.run(&self.gpu, &values)?;
        plan.plan.read(&self.gpu, plan.losses).await
    }
}

#[cfg(test)]
mod tests {
    use super::before;

    #[test]
    fn every_code_stands_behind_the_one_before() {
        assert_eq!(before(&[4, 5, 6, 7, 8, 9], 3, 77), [77, 4, 5, 77, 7, 8]);
        assert_eq!(before(&[1, 2], 1, 9), [9, 9]);
    }
}
