//! Each operation's plain-loop reference against central differences in f64 (no GPU), and its
//! kernels against the reference on shapes that are distinct and odd: outputs filled with NaN
//! beforehand, gaps behind every tensor checked.

#[path = "gradients/case.rs"]
mod case;
#[path = "gradients/cases.rs"]
mod cases;
#[path = "gradients/elbo.rs"]
mod elbo;
#[path = "gradients/kernels.rs"]
mod kernels;
mod support;

use std::sync::Arc;

use case::{inputs_of, on_gpu};
use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::quant::Vectors;
use semivq::quant::codebook::search::{self, search};
use support::harness::{self, Failed, Test};
use support::normals;

/// The search against the reference: one vector, one code, ties, K > N, odd F, features last; tails of
/// all tiles, vectors side by side by fours.
async fn search_on_gpu(gpu: &Gpu) -> Result<(), Failed> {
    for (outer, features, positions, codes) in [
        (3, 33, 100, 67),
        (2, 9, 8, 31),
        (5, 70, 61, 33),
        (3, 7, 11, 19),
        (1, 4, 1, 1),
        (2, 65, 3, 40),
        (5, 3, 1, 16),
        (1, 1, 130, 2),
        // Enough for the wide tiles: side by side by fours, not so, and features last.
        (3, 6, 700, 40),
        (9, 5, 257, 67),
        (2501, 33, 1, 35),
    ] {
        let vectors = Vectors {
            outer,
            features,
            positions,
        };
        let z = normals("search z", outer * features * positions);
        let mut codebook = normals("search codes", codes * features);
        // The last code repeats the first: a tie must go to the lower index.
        codebook.copy_within(..features, (codes - 1) * features);
        let mut layout = ParameterLayout::guarded();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let z_var = rec.input("z", &[outer, features, positions]);
        let codebook_var = rec.input("codebook", &[codes, features]);
        let q = search(&mut rec, z_var, &vectors, codebook_var);
        rec.keep(q);
        let recording = rec.finish();
        let store = Store::new(gpu, layout, 0)?;
        let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
        plan.write(gpu, z_var, &z)?;
        plan.write(gpu, codebook_var, &codebook)?;
        plan.run(gpu, &StepValues::default())?;
        plan.check_guards(gpu).await?;
        let wide = |v: &[f32]| v.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let want = search::reference(&wide(&z), &vectors, &wide(&codebook));
        let got = plan.read_u32(gpu, q).await?;
        if got != want {
            return Err(format!(
                "N {} F {features} K {codes}: {got:?}, want {want:?}",
                vectors.count()
            )
            .into());
        }
    }
    gpu.check("search")?;
    Ok(())
}

fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for case in cases::all().into_iter().map(Arc::new) {
        let twin = Arc::clone(&case);
        tests.push(Test::host(
            format!("central differences, {}", case.name),
            move || (twin.differences)(&inputs_of(&twin)),
        ));
        let name = format!("GPU, {}", case.name);
        let run = move |gpu: Arc<Gpu>| {
            let case = Arc::clone(&case);
            async move { on_gpu(&gpu, &case).await }
        };
        let chosen = ["conv2d", "linear"];
        if let Some(part) = chosen.into_iter().find(|part| name.contains(part)) {
            tests.extend(Test::gpu_by_candidates(&name, part, run));
        } else {
            tests.push(Test::gpu(name, run));
        }
    }
    tests.push(Test::gpu("GPU, elbo as written down", |gpu| async move {
        elbo::as_written_down(&gpu).await
    }));
    tests.push(Test::gpu("GPU, elbo of equal images", |gpu| async move {
        elbo::of_equal_images(&gpu).await
    }));
    tests.push(Test::gpu("GPU, elbo keeps NaN", |gpu| async move {
        elbo::keeps_nan(&gpu).await
    }));
    tests.push(Test::native(
        "every kernel of an operation is in a case",
        kernels::all_are_dispatched,
    ));
    tests.push(Test::host(
        "every weight gradient is split in a case",
        kernels::weight_gradients_are_split,
    ));
    tests.extend(Test::gpu_by_candidates(
        "GPU, search",
        "search",
        |gpu| async move { search_on_gpu(&gpu).await },
    ));
    tests
}

fn main() {
    harness::run(tests());
}

/// What the page opens.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn open(on_purpose: bool) -> support::suite::Suite {
    support::suite::Suite::new(tests(), on_purpose)
}
