//! The first stage of [`super::conv2d_weight`] for adapters that run on a CPU, kernel 3 and stride 1: fewer
//! loads, no workgroup memory, and behind an upsampling a quarter of the multiply-adds.

use super::conv2d::{CONV2D, Conv2d, OCTET, Params};
use super::conv2d_weight::{CONV2D_WEIGHT, Split};
use crate::gpu::Kernel;
use crate::gpu::{GRID, kernels};

kernels! {
    "conv2d_weight_wide", [GRID, CONV2D, CONV2D_WEIGHT];
    ROWS = "rows", 16, Params::FIELDS, [Read 1, Read 5, Write 7];
    DOUBLED_ROWS = "doubled_rows", 16, Params::FIELDS, [Read 1, Read 5, Write 7];
}

/// Threads of a workgroup.
const THREADS: usize = 16;
/// Workgroups that keep the cores of a CPU busy, each with enough to do.
const WORKGROUPS: usize = 32;

impl Conv2d {
    pub(super) fn split_wide(&self) -> Split {
        let [height, width] = self.out_size;
        let (kernel, parts, rows): (&'static Kernel, usize, usize) = if self.upsample == 2 {
            let parts = self.out_channels * self.in_channels.div_ceil(OCTET);
            (&DOUBLED_ROWS, parts, self.batch * (height / 2))
        } else {
            let parts = self.in_channels.div_ceil(2) * self.out_channels.div_ceil(OCTET);
            (&ROWS, parts, self.batch * width.div_ceil(4))
        };
        let chunks = (WORKGROUPS * THREADS).div_ceil(parts).min(rows);
        Split {
            kernel,
            grid: [(chunks * parts).div_ceil(THREADS), 1, 1],
            chunks,
            lanes: 0,
        }
    }
}
