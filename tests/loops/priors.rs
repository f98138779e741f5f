//! Priors, up to the sizes that fit a binding.

use semivq::prior::cross_entropy::cross_entropy;
use semivq::prior::sampler::draw;
use semivq::prior::{Map, PriorOptions, Sequences, Transformer};

use super::recordings::{Recorded, variants};

/// A training step, and the step that draws.
pub fn priors(all: &mut Vec<Option<Recorded>>) {
    for (side, codes, count, width, heads) in [
        (64, 512, 1, 256, 1),
        (16, 1024, 64, 128, 1),
        (7, 8192, 64, 1024, 4),
        (7, 65_536, 8, 64, 4),
        (1, 1 << 18, 120, 32, 2),
        (1, 16, 60_000, 32, 2),
        (3, 3, 6_600, 12, 3),
    ] {
        let map = Map {
            shape: vec![side, side],
            codes,
        };
        let sequences = Sequences { maps: vec![map] };
        let options = PriorOptions {
            width,
            heads,
            blocks: 1,
            ..PriorOptions::default()
        };
        let (length, rows) = (sequences.length(), count * sequences.length());
        let name =
            format!("prior of {side} x {side} codes of {codes}, width {width}, {count} images");
        variants(all, &name, &|rec| {
            let before = rec.input("before", &[rows]);
            let goal = rec.input("goal", &[rows]);
            let ranges = rec.input("ranges", &[length, 2]);
            let order = rec.input("order", &[rows]);
            let starts = rec.input("starts", &[codes + 2]);
            let net = Transformer::new(&options, &sequences, count);
            if !rec.training() {
                let last = rec.input("last", &[count]);
                let logits = net.record_last(rec, last)?;
                let drawn = rec.input("drawn", &[count, length]);
                draw(rec, logits, ranges, last, drawn);
                return Ok(());
            }
            let logits = net.record(rec, before, Some([order, starts]))?;
            cross_entropy(rec, logits, goal, ranges, 1.0)?;
            rec.backward()
        });
    }
}
