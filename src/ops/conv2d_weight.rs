//! The gradients of a convolution's weights and bias: the second half of [`super::conv2d`], whose
//! formulas, contract and reference they share.
//!
//! ```text
//! grad_w[o,c,u,v] = sum_{b,i,j} grad_y[b,o,i,j] x[b,c, iS+u-P, jS+v-P]
//! grad_bias[o]    = sum_{b,i,j} grad_y[b,o,i,j]
//! ```
//!
//! Both are assigned, in two stages: chunks of the positions, then their sum in a fixed order.

use super::conv2d::{CONV2D, Conv2d, OCTET, Params, THREADS};
use crate::gpu::{Candidate, CandidateInfo, GRID, Kernel, Recorder, Traits, Var, infos, kernels};

/// The fragment of the files of the weight gradient.
pub(super) const CONV2D_WEIGHT: (&str, &str) = (
    "lib/conv2d_weight.wgsl",
    include_str!("../../shaders/lib/conv2d_weight.wgsl"),
);

kernels! {
    "conv2d_weight", [GRID, CONV2D, CONV2D_WEIGHT];
    BACKWARD_WEIGHT = "backward_weight", 64, Params::FIELDS, [Read 1, Read 5, Write 7];
    BACKWARD_WEIGHT_3X3 = "backward_weight_3x3", 64, Params::FIELDS, [Read 1, Read 5, Write 7];
    BACKWARD_WEIGHT_ROWS = "backward_weight_rows", 64, Params::FIELDS, [Read 1, Read 5, Write 7];
    BACKWARD_WEIGHT_SUM = "backward_weight_sum", 64, Params::FIELDS, [Write 8, Write 9, Read 10];
}

/// How the weight gradient is split: kernel, workgroups, chunks, lanes.
pub(super) struct Split {
    pub(super) kernel: &'static Kernel,
    pub(super) grid: [usize; 3],
    pub(super) chunks: usize,
    pub(super) lanes: usize,
}

type SplitOf = fn(&Conv2d, &Traits) -> Split;

static WEIGHTS: [Candidate<Conv2d, SplitOf>; 5] = [
    Candidate {
        info: CandidateInfo::plain("conv2d_weight_wide::rows"),
        can: |op| op.is_3x3() && !op.is_upsampled(),
        suits: |traits, _| traits.software,
        way: |op, _| op.split_wide(),
    },
    Candidate {
        info: CandidateInfo::plain("conv2d_weight_wide::doubled_rows"),
        can: |op| op.is_3x3() && op.is_upsampled(),
        suits: |traits, _| traits.software,
        way: |op, _| op.split_wide(),
    },
    Candidate {
        info: CandidateInfo::plain("conv2d_weight::backward_weight_rows"),
        can: |op| op.is_3x3() && op.in_channels > 8 && op.out_channels >= OCTET,
        suits: |_, _| true,
        way: Conv2d::split_rows,
    },
    Candidate {
        info: CandidateInfo::plain("conv2d_weight::backward_weight_3x3"),
        can: Conv2d::is_3x3,
        suits: |_, _| true,
        way: |op, _| op.split_pixels(&BACKWARD_WEIGHT_3X3, 2, op.in_channels),
    },
    Candidate {
        info: CandidateInfo::plain("conv2d_weight::backward_weight"),
        can: |_| true,
        suits: |_, _| true,
        way: |op, _| {
            let taps = op.in_channels * op.options.kernel.pow(2);
            op.split_pixels(&BACKWARD_WEIGHT, 1, taps)
        },
    },
];
infos!(WEIGHTS);

impl Conv2d {
    fn split_rows(&self, traits: &Traits) -> Split {
        let octets = self.out_channels.div_ceil(OCTET);
        let pairs = self.batch * self.out_size[0].div_ceil(2);
        let lanes = if self.in_channels > 16 { 32 } else { 16 };
        let grid = [
            self.in_channels.div_ceil(lanes),
            octets.div_ceil(THREADS / lanes),
        ];
        // At least two pairs of rows each.
        let chunks = (traits.workgroups_wanted as usize / (grid[0] * grid[1]))
            .clamp(1, 256)
            .min(pairs.div_ceil(2));
        Split {
            kernel: &BACKWARD_WEIGHT_ROWS,
            grid: [chunks, grid[0], grid[1]],
            chunks,
            lanes,
        }
    }

    /// A thread takes `rows` by four pixels, a workgroup one of so many `tiles` of the weight.
    fn split_pixels(&self, kernel: &'static Kernel, rows: usize, tiles: usize) -> Split {
        let octets = self.out_channels.div_ceil(OCTET);
        let items = self.batch * self.out_size[0].div_ceil(rows) * self.out_size[1].div_ceil(4);
        let chunks = (2048 / (tiles * octets))
            .clamp(1, 64)
            .min(items.div_ceil(4 * THREADS));
        Split {
            kernel,
            grid: [chunks, tiles, octets],
            chunks,
            lanes: 0,
        }
    }

    /// Records `grad_w` and `grad_bias` from `grad_y`, in two stages.
    pub fn backward_weight(
        &self,
        rec: &mut Recorder<'_>,
        grad_w: Var,
        grad_bias: Option<Var>,
        grad_y: Var,
        x: Var,
    ) {
        let weights = self.out_channels * self.in_channels * self.options.kernel.pow(2);
        let split = (rec.traits().choose(&WEIGHTS, self).way)(self, rec.traits());
        let params = Params {
            chunks: split.chunks as u32,
            lanes: split.lanes as u32,
            has_bias: u32::from(grad_bias.is_some()),
            ..self.params()
        };
        let up = (self.upsample == 2).then_some(("UP", 2.0));
        let constants = [&self.constants(&params)[..], up.as_slice()].concat();
        let partial = rec.temporary("partial", &[split.chunks, weights + self.out_channels]);
        let grid = split.grid.map(|n| n as u32);
        rec.dispatch_groups(split.kernel, &params, &[x, grad_y, partial], grid)
            .constants(&constants)
            .flops(2 * self.macs());
        let grad_bias = grad_bias.unwrap_or_else(|| rec.temporary("no bias", &[self.out_channels]));
        let items = weights + self.out_channels;
        rec.dispatch(
            &BACKWARD_WEIGHT_SUM,
            &params,
            &[grad_w, grad_bias, partial],
            items,
        )
        .constants(&constants[..1]);
    }
}
