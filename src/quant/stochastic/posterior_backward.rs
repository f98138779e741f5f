//! The way back through the posterior; [`super::posterior`] says what is computed.

use super::posterior::{Drawn, Inputs, POSTERIOR, STRETCH};
use super::products::{over_codes, over_rows, product};
use super::sizes::{Params, Posterior};
use super::variance::Variance;
use crate::error::Result;
use crate::gpu::{GRID, NUMBER, REDUCE, Recorder, Var, kernels};
use crate::quant::vectors::VECTORS;

kernels! {
    "posterior_backward", [GRID, NUMBER, REDUCE, VECTORS, POSTERIOR], step [temperature: f32];
    PACK_GRADIENT = "pack_gradient", 64, Params::FIELDS,
        [Read 1, Read 2, Read 3, Read 4, Read 5, Write 6, Write 7];
    DISTRIBUTE = "distribute", 64, Params::FIELDS,
        [Read 8, Read 9, Read 10, Read 11, Read 12, Write 13, Step 15];
    UNPACK_GRADIENT = "unpack_gradient", 64, Params::FIELDS,
        [Read 1, Read 2, Read 3, Read 4, Read 12, Write 13, Write 14];
    UNPACK_CODES = "unpack_codes", 64, Params::FIELDS, [Read 17, Read 18, Read 19, Write 13];
    BACKWARD_SPREAD = "backward_spread", 256, Params::FIELDS, [Read 3, Read 16, Write 13];
    BACKWARD_LOG_VAR = "backward_log_var", 64, Params::FIELDS, [Read 2, Read 16, Write 13];
}

impl Posterior {
    /// The gradients of a chunk: of z and of each variance into `grad_z` and `grad_var`; added to those of the codes,
    /// what each got as a logit's and as what was drawn.
    fn backward_chunk(
        &self,
        rec: &mut Recorder<'_>,
        (inputs, drawn): (&Inputs, &Drawn),
        (grad_z, grad_var): (Var, Var),
        params: &Params,
        [grad_packed, grad_drawn]: &mut [Option<Var>; 2],
    ) -> Result<()> {
        let (rows, features) = (params.rows as usize, self.vectors.features);
        let items = rows * self.codes;
        let constants = self.constants();
        let (base, spread) = (drawn.base, inputs.spread);
        let (x, logits) = match drawn.kept {
            Some(kept) => kept,
            None => self.logits(rec, inputs, (base, drawn.packed_codes), params)?,
        };
        let weights = match drawn.weights {
            Some(weights) => weights,
            None => self.weights(rec, inputs, (logits, drawn.sums, drawn.q), params),
        };
        let g = rec.temporary("g", &[rows, features]);
        let upstream = rec.gradient(drawn.z_q);
        let above = Params {
            above: f32::from(u8::from(upstream.is_some())),
            ..*params
        };
        let grad_out = upstream.unwrap_or(drawn.z_q);
        let along = rec.temporary("g . z_q", &[self.vectors.count()]);
        let tensors = [inputs.z, base, spread, drawn.z_q, grad_out, g, along];
        rec.dispatch(&PACK_GRADIENT, &above, &tensors, rows)
            .constants(&constants);
        over_rows(rec, "grad drawn", (weights, g), grad_drawn)?;
        let grad_logits = if self.training {
            product(rec, "g . codes", inputs.codebook, g)?
        } else {
            rec.temporary("grad logits", &[self.codes, rows])
        };
        let tensors = [
            along,
            logits,
            drawn.sums,
            drawn.entropies,
            weights,
            grad_logits,
        ];
        rec.dispatch(&DISTRIBUTE, params, &tensors, items)
            .constants(&constants);
        let grad_x = over_codes(rec, "grad x", grad_logits, drawn.packed_codes)?;
        over_rows(rec, "grad packed", (grad_logits, x), grad_packed)?;
        let tensors = [inputs.z, base, spread, drawn.z_q, grad_x, grad_z, grad_var];
        rec.dispatch(&UNPACK_GRADIENT, params, &tensors, rows)
            .constants(&constants);
        Ok(())
    }

    pub(super) fn backward(
        &self,
        rec: &mut Recorder<'_>,
        inputs: &Inputs,
        drawn: &Drawn,
    ) -> Result<()> {
        let count = self.vectors.count();
        let each = match self.variance {
            Variance::Value => self.vectors.features,
            _ => 1,
        };
        let grad_var = rec.temporary("grad variance", &[count * each]);
        let mut of_codes = [None; 2];
        rec.contribute_always(inputs.z, |rec, grad_z| {
            for rows in self.chunks() {
                let params = self.params(&rows);
                let grads = (grad_z, grad_var);
                self.backward_chunk(rec, (inputs, drawn), grads, &params, &mut of_codes)?;
            }
            Ok(())
        })?;
        let all = self.params(&(0..count));
        let constants = self.constants();
        if let [Some(grad_packed), Some(grad_drawn)] = of_codes {
            rec.contribute(inputs.codebook, |rec, grad| {
                let tensors = [inputs.codebook, grad_packed, grad_drawn, grad];
                let items = self.codes * self.vectors.features;
                rec.dispatch(&UNPACK_CODES, &all, &tensors, items)
                    .constants(&constants);
                Ok(())
            })?;
        }
        let per_image = self.variance == Variance::Image;
        let stretch = if per_image { self.shared_by() } else { STRETCH };
        let sums = Self::stretches(rec, grad_var, stretch);
        rec.contribute(inputs.spread, |rec, grad| {
            let params = Params {
                length: rec.len(sums) as u32,
                ..Params::default()
            };
            let tensors = [inputs.spread, sums, grad];
            rec.dispatch_per_group(&BACKWARD_SPREAD, &params, &tensors, 1);
            Ok(())
        })?;
        let Some(log_var) = inputs.log_var.filter(|_| self.variance.of_encoder()) else {
            return Ok(());
        };
        rec.contribute(log_var, |rec, grad| {
            let of = if per_image { sums } else { grad_var };
            let tensors = [drawn.base, of, grad];
            rec.dispatch(
                &BACKWARD_LOG_VAR,
                &all,
                &tensors,
                count * self.vectors.features,
            )
            .constants(&constants);
            Ok(())
        })
    }
}
