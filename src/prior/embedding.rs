//! From codes to features, with their positions:
//!
//! ```text
//! y[r] = token[codes[r]] + place[t]                 t the position of row r in its sequence
//! grad_token[v] = sum of grad_y[r], codes[r] = v    grad_place[t] = sum of grad_y[r] at t
//! ```
//!
//! The gradients are assigned. For the way back the host sorts the rows by their codes ([`sorted`]), so that each sum is
//! of its own rows alone, in their order.

use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, LOOP_BUDGET, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        rows: u32,
        width: u32,
        queries: u32,
        tokens: u32,
    }
}

kernels! {
    "embedding", [GRID], step [position: u32];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4, Step 15];
    BACKWARD_TOKEN = "backward_token", 64, Params::FIELDS, [Read 5, Read 6, Read 7, Write 8];
    BACKWARD_PLACE = "backward_place", 64, Params::FIELDS, [Read 5, Write 9];
}

/// Integers of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// The code of each row `[R]`.
    pub codes: Var,
    /// Rows of a sequence, which lie side by side.
    pub queries: usize,
    /// For the way back: the rows sorted by their codes `[R]`, and where those of each code begin `[V + 1]`.
    pub sorted: Option<[Var; 2]>,
}

/// The rows sorted by their codes, stably, and where those of each of `tokens` codes begin, then their number.
#[must_use]
pub fn sorted(codes: &[u32], tokens: usize) -> [Vec<u32>; 2] {
    let mut starts = vec![0_u32; tokens + 1];
    for code in codes {
        starts[*code as usize + 1] += 1;
    }
    for v in 0..tokens {
        starts[v + 1] += starts[v];
    }
    let mut next = starts.clone();
    let mut order = vec![0; codes.len()];
    for (row, code) in codes.iter().enumerate() {
        let place = &mut next[*code as usize];
        order[*place as usize] = row as u32;
        *place += 1;
    }
    [order, starts]
}

/// Looks up `token` `[V, E]` and `places` `[L, E]`: `[R, E]`. The first row of each sequence is at the slot `position`;
/// there is a way back for whole sequences, whose first one is 0.
///
/// # Errors
/// [`ShapeError`] when the tables differ in width, or there are too many rows for one code to have them all.
pub fn embedding(rec: &mut Recorder<'_>, rows: Rows, token: Var, places: Var) -> Result<Var> {
    let count = rec.len(rows.codes);
    let (&[tokens, width], &[length, w]) = (rec.shape(token), rec.shape(places)) else {
        return Err(ShapeError::new("embedding", "the tables must be [V, E] and [L, E]").into());
    };
    if width != w || rows.queries > length || !count.is_multiple_of(rows.queries.max(1)) {
        let message = format!(
            "{count} rows of {} a sequence, tables [{tokens}, {width}] and [{length}, {w}] do not fit",
            rows.queries
        );
        return Err(ShapeError::new("embedding", message).into());
    }
    if count > LOOP_BUDGET {
        let message =
            format!("{count} rows are too many, at most {LOOP_BUDGET}: take a smaller batch");
        return Err(ShapeError::new("embedding", message).into());
    }
    let params = Params {
        rows: count as u32,
        width: width as u32,
        queries: rows.queries as u32,
        tokens: tokens as u32,
    };
    let y = rec.temporary("embedding", &[count, width]);
    let tensors = [rows.codes, token, places, y];
    rec.dispatch(&FORWARD, &params, &tensors, count * width);
    let Some([order, starts]) = rows.sorted else {
        return Ok(y);
    };
    rec.on_backward(y, &[token, places], move |rec, grad_y| {
        rec.contribute(token, |rec, grad| {
            let tensors = [grad_y, order, starts, grad];
            rec.dispatch(&BACKWARD_TOKEN, &params, &tensors, tokens * width);
            Ok(())
        })?;
        rec.contribute(places, |rec, grad| {
            rec.dispatch(&BACKWARD_PLACE, &params, &[grad_y, grad], length * width);
            Ok(())
        })
    });
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::sorted;

    #[test]
    fn rows_are_sorted_stably_by_their_codes() {
        let [order, starts] = sorted(&[2, 0, 2, 3, 0], 5);
        assert_eq!(order, [1, 4, 0, 2, 3]);
        assert_eq!(starts, [0, 2, 2, 4, 5, 5]);
    }
}
