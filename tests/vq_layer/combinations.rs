//! Combinations of options: every two values of two options that may stand together do so in one of them.

use std::collections::BTreeSet;

use semivq::quant::codebook::{
    AlterPenalty, CodebookInit, CodebookNorm, Distance, Estimator, GammaPolicy, Placement,
    ReplacePolicy,
};
use semivq::quant::{Norm, QuantizerConfig, VectorQuantConfig};

/// Options of a layer, the shape of z, and how it runs.
#[derive(Debug, Clone)]
pub struct Combination {
    pub config: VectorQuantConfig,
    pub shape: Vec<usize>,
    pub training: bool,
    /// Whether the running statistics begin with values of their own.
    pub initialized: bool,
}

type Change = fn(&mut Combination);

/// The values of each option, the plainest first; later options may depend on earlier ones.
const OPTIONS: [&[Change]; 16] = [
    &[|c| c.training = true, |c| c.training = false],
    &[|c| c.initialized = false, |c| c.initialized = true],
    &[
        |c| c.config.norm = Norm::None,
        |c| c.config.norm = Norm::L2,
        |c| c.config.norm = Norm::L2c,
        |c| c.config.norm = Norm::Bn,
        |c| c.config.norm = Norm::Gn,
        |c| c.config.norm = Norm::In,
    ],
    // A group norm has 32 groups. The batch norms of the MLPs run over the features: over five of them they
    // leave little but rounding to compare.
    &[
        |c| c.config.feature_size = if c.config.norm == Norm::Gn { 64 } else { 14 },
        |c| c.config.feature_size = if c.config.norm == Norm::Gn { 32 } else { 9 },
        |c| c.config.feature_size = if c.config.norm == Norm::Gn { 96 } else { 23 },
    ],
    // More than two blocks of the search, the last one not full; less than one.
    &[
        |c| c.config.num_codes = 12,
        |c| c.config.num_codes = 6,
        |c| c.config.num_codes = 30,
        |c| c.config.num_codes = 70,
    ],
    // What moves the codes, or what is there in place of a codebook.
    &[
        |c| c.config.beta = 0.97125,
        |c| c.config.beta = 0.25,
        |c| c.config.beta = 0.0,
        |c| in_place(c, (10.0, 0.9)),
        |c| in_place(c, (0.5, 0.0)),
        |c| c.config.ema_decay = Some(0.8),
        |c| c.config.simvq = true,
        |c| levels(c, &[5, 3]),
        |c| levels(c, &[8, 6, 5]),
        |c| levels(c, &[4, 7, 3, 5]),
    ],
    &[
        |_| {},
        |c| affine(c, 1, false),
        |c| affine(c, 2, false),
        |c| affine(c, 3, false),
        |c| affine(c, 1, true),
        |c| affine(c, 2, true),
        |c| alpha(c, 1, None),
        |c| alpha(c, 3, None),
        |c| alpha(c, 2, Some(AlterPenalty::Default)),
        |c| alpha(c, 1, Some(AlterPenalty::Between1)),
        |c| alpha(c, 2, Some(AlterPenalty::Small)),
    ],
    &[
        |_| {},
        |c| gamma(c, GammaPolicy::Default),
        |c| gamma(c, GammaPolicy::Personalize),
    ],
    &[|c| c.config.sync_nu = 0.0, |c| c.config.sync_nu = 0.7],
    &[
        |c| c.config.estimator = Estimator::StraightThrough,
        |c| c.config.estimator = Estimator::Rotation,
    ],
    &[
        |c| c.config.cb_norm = CodebookNorm::None,
        |c| c.config.cb_norm = CodebookNorm::L2,
        |c| c.config.cb_norm = CodebookNorm::L2c,
    ],
    &[
        |c| c.config.dist = Distance::Euclidean,
        |c| c.config.dist = Distance::Cosine,
    ],
    // Codes that are due in the first step, and in the second.
    &[
        |_| {},
        |c| replace(c, 1, ReplacePolicy::InputRandom),
        |c| replace(c, 2, ReplacePolicy::InputRandom),
        |c| replace(c, 2, ReplacePolicy::InputKmeans),
        |c| replace(c, 2, ReplacePolicy::Own),
        |c| c.config.replace_below = 0.9,
    ],
    // The plainest is the original's.
    &[
        |c| c.config.placement = Placement::Raw,
        |c| c.config.placement = Placement::Effective,
    ],
    &[
        |c| c.config.codebook_init = CodebookInit::Normal,
        |c| c.config.codebook_init = CodebookInit::Uniform,
    ],
    &[
        |c| lies(c, 1, &[3, 5, 4]),
        |c| lies(c, 0, &[3, 5, 4]),
        |c| lies(c, 2, &[3, 5, 4]),
        |c| lies(c, 1, &[4, 7, 5]),
        |c| lies(c, 0, &[4, 7]),
        |c| lies(c, 1, &[2, 7]),
        |c| lies(c, 2, &[4, 3]),
    ],
];

fn in_place(c: &mut Combination, step: (f32, f32)) {
    c.config.inplace_optimizer = Some(step);
    c.config.beta = 1.0;
}

fn levels(c: &mut Combination, levels: &[usize]) {
    c.config.fsq_levels = Some(levels.to_vec());
    c.config.num_codes = levels.iter().product();
}

fn affine(c: &mut Combination, groups: usize, statistics: bool) {
    c.config.affine_lr = 2.0;
    c.config.affine_groups = groups;
    c.config.using_statistics = statistics;
}

fn alpha(c: &mut Combination, groups: usize, penalty: Option<AlterPenalty>) {
    c.config.use_learnable_std = true;
    c.config.affine_groups = groups;
    if let Some(form) = penalty {
        c.config.alter_penalty = form;
        c.config.penalty_weight = 0.5;
    }
}

fn gamma(c: &mut Combination, policy: GammaPolicy) {
    c.config.use_learnable_gamma = true;
    c.config.gamma_policy = policy;
}

fn replace(c: &mut Combination, after: usize, policy: ReplacePolicy) {
    c.config.replace_freq = after;
    c.config.replace_policy = policy;
}

/// Features on axis `dim` among `others`.
fn lies(c: &mut Combination, dim: usize, others: &[usize]) {
    c.config.dim = dim;
    c.shape = others.to_vec();
    c.shape.insert(dim, c.config.feature_size);
}

/// Which value each option has.
type Row = [usize; OPTIONS.len()];

/// A value of an option, and one of a later option.
type Pair = [(usize, usize); 2];

/// What a row stands for; `None` where that is refused, or leaves nothing to compare.
fn made(row: &Row) -> Option<Combination> {
    let mut combination = Combination {
        config: VectorQuantConfig::default(),
        shape: Vec::new(),
        training: true,
        initialized: false,
    };
    for (option, value) in OPTIONS.iter().zip(row) {
        option[*value](&mut combination);
    }
    let Combination { config, shape, .. } = &combination;
    // Norms over the pixels of an image need more than one of them, and of two values whose mean and deviation
    // are taken out only rounding is left; and behind a single hidden
    // unit the batch norm cancels what its weight does, so that only rounding is left to compare.
    let pixels: usize = shape[config.dim + 1..].iter().product();
    let single = config.norm == Norm::In || config.norm == Norm::Gn && config.feature_size <= 64;
    let narrow = config.use_learnable_std && config.num_codes < 8;
    let right = QuantizerConfig::try_from(config).is_ok() && !(pixels == 1 && single) && !narrow;
    right.then_some(combination)
}

fn pairs_of(row: &Row) -> impl Iterator<Item = Pair> {
    let at = |i: usize| (i, row[i]);
    (0..row.len()).flat_map(move |j| (0..j).map(move |i| [at(i), at(j)]))
}

/// A row with the pair, as plain as may be; `None` where the two cannot stand together.
fn plainest(pair: Pair) -> Option<Row> {
    let mut row = [0; OPTIONS.len()];
    for (option, value) in pair {
        row[option] = value;
    }
    // Some two values need a third: a codebook that is averaged has use for `sync_nu` with a gamma alone.
    let others = (0..OPTIONS.len()).filter(|i| pair.iter().all(|(option, _)| option != i));
    let thirds = others.flat_map(|i| (0..OPTIONS[i].len()).map(move |value| (i, value)));
    let with = |(i, value): (usize, usize)| {
        let mut row = row;
        row[i] = value;
        row
    };
    let rows = std::iter::once(row).chain(thirds.map(with));
    let mut right = rows.filter(|row| made(row).is_some());
    right.next()
}

/// Every pair that can stand.
fn pairs() -> BTreeSet<Pair> {
    let mut all = BTreeSet::new();
    for (j, later) in OPTIONS.iter().enumerate() {
        for (i, earlier) in OPTIONS[..j].iter().enumerate() {
            for a in 0..earlier.len() {
                let of_j = (0..later.len()).map(|b| [(i, a), (j, b)]);
                all.extend(of_j.filter(|pair| plainest(*pair).is_some()));
            }
        }
    }
    all
}

/// Rows that have every pair, found greedily: from each pair that is still wanting, value by value to
/// what has most of the wanting ones.
fn rows() -> Vec<Row> {
    let mut wanting = pairs();
    let mut rows = Vec::new();
    while let Some(pair) = wanting.last().copied() {
        let Some(mut row) = plainest(pair) else {
            break;
        };
        let gain = |row: &Row| pairs_of(row).filter(|p| wanting.contains(p)).count();
        for i in (0..OPTIONS.len()).chain(0..OPTIONS.len()) {
            let mut best = (gain(&row), row);
            for value in 0..OPTIONS[i].len() {
                let mut other = row;
                other[i] = value;
                let kept = pair.iter().all(|(option, value)| other[*option] == *value);
                if kept && gain(&other) > best.0 && made(&other).is_some() {
                    best = (gain(&other), other);
                }
            }
            row = best.1;
        }
        for pair in pairs_of(&row) {
            wanting.remove(&pair);
        }
        rows.push(row);
    }
    rows
}

/// The combinations, the same ones every time.
pub fn all() -> Vec<Combination> {
    rows().iter().filter_map(made).collect()
}

/// Nothing that may stand together is left out, and some pairs that chance once never drew are there.
pub fn cover_every_pair() -> Result<(), String> {
    let covered: BTreeSet<Pair> = rows().iter().flat_map(pairs_of).collect();
    let left: Vec<Pair> = pairs().difference(&covered).copied().collect();
    if !left.is_empty() {
        return Err(format!("in no combination: {left:?}"));
    }
    let all = all();
    type Has = fn(&VectorQuantConfig) -> bool;
    let rare: [(&str, Has); 6] = [
        ("statistics and in-place", |c| {
            c.using_statistics && c.inplace_optimizer.is_some()
        }),
        ("simvq and a norm of the codebook", |c| {
            c.simvq && c.cb_norm == CodebookNorm::L2c
        }),
        ("simvq and rotation", |c| {
            c.simvq && c.estimator == Estimator::Rotation
        }),
        ("a moving average and sync_nu", |c| {
            c.ema_decay.is_some() && c.sync_nu > 0.0
        }),
        ("replacement and alpha's penalty", |c| {
            c.replace_freq > 0 && c.penalty_weight > 0.0
        }),
        ("70 codes by their angle", |c| {
            c.num_codes == 70 && c.dist == Distance::Cosine
        }),
    ];
    match rare
        .iter()
        .find(|(_, has)| !all.iter().any(|c| has(&c.config)))
    {
        Some((name, _)) => Err(format!("{name}: in no combination")),
        None => Ok(()),
    }
}
