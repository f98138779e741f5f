//! The ELBOs beside numbers that were computed elsewhere, of images that are equal, and of NaN.

use semivq::gpu::{BuildOptions, Gpu, Init, ParameterLayout, Recorder, StepValues, Store};
use semivq::ops::loss::{self, FLOOR};

use super::support::harness::Failed;
use super::support::share_of_tolerance;

/// Two images of three values.
const SHAPE: [usize; 4] = [2, 1, 1, 3];
const Y: [f32; 6] = [0.5, -1.25, 2.0, 0.75, -0.5, 1.5];
const TARGET: [f32; 6] = [0.25, -1.0, 1.0, 1.5, -0.5, 2.0];

/// The loss, the gradient of y and that of the log variance, which is `log_var` if it is learned.
async fn of(gpu: &Gpu, y: &[f32], log_var: Option<f32>) -> Result<[Vec<f32>; 3], Failed> {
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(gpu);
    let [y_var, target] = ["y", "target"].map(|name| rec.input(name, &SHAPE));
    rec.require_gradient(y_var);
    let learned = match log_var {
        Some(value) => Some(rec.parameter("s", &[1], Init::Constant(value))?),
        None => None,
    };
    let out = loss::elbo(&mut rec, "loss", y_var, target, learned, 3.0)?;
    rec.backward()?;
    let mut read = vec![out];
    for var in [Some(y_var), learned].into_iter().flatten() {
        let grad = rec.gradient(var).ok_or("no gradient")?;
        read.push(rec.keep(grad));
    }
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    store.poison_gradients(gpu);
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    plan.write(gpu, y_var, y)?;
    plan.write(gpu, target, &TARGET)?;
    plan.run(gpu, &StepValues::default())?;
    plan.check_guards(gpu).await?;
    store.check_gradient_guards(gpu).await?;
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for (values, var) in all.iter_mut().zip(read) {
        *values = plan.read(gpu, var).await?;
    }
    Ok(all)
}

/// With weight 3. Computed in float64 by the SQ-VAE's own formula, `dim_x / 2 * log(mse)`, mse the sum over an image's
/// pixels, the mean over images; and by the density of a Gaussian of variance e^0.5.
pub async fn as_written_down(gpu: &Gpu) -> Result<(), Failed> {
    let best = [
        vec![-0.047_623_047],
        vec![
            1.161_290_3,
            -1.161_290_3,
            4.645_161,
            -3.483_871,
            0.0,
            -2.322_580_6,
        ],
        vec![],
    ];
    let learned = [
        vec![1.043_788_3],
        vec![
            0.227_449, -0.227_449, 0.909_796, -0.682_347, 0.0, -0.454_898,
        ],
        vec![3.618_635_1],
    ];
    for (log_var, want) in [(None, best), (Some(0.5), learned)] {
        let got = of(gpu, &Y, log_var).await?;
        for (got, want) in got.iter().zip(&want) {
            let share = share_of_tolerance(got, want, 2e-5, 1e-6);
            if got.len() != want.len() || share > 1.0 {
                return Err(format!("log variance {log_var:?}: {got:?}, want {want:?}").into());
            }
        }
    }
    Ok(())
}

/// Nothing is NaN, and no gradient is left.
pub async fn of_equal_images(gpu: &Gpu) -> Result<(), Failed> {
    let least = 1.5 * (f64::from(FLOOR) / 2.0).ln();
    for (log_var, want, of_s) in [(None, least, None), (Some(-2.0), -3.0, Some(4.5))] {
        let [loss, grad_y, grad_s] = of(gpu, &TARGET, log_var).await?;
        let near = (f64::from(loss[0]) - want).abs() < 1e-4 * want.abs();
        if !near || grad_y != [0.0; 6] || grad_s.first().copied() != of_s {
            return Err(format!("{log_var:?}: {loss:?}, {grad_y:?}, {grad_s:?}").into());
        }
    }
    Ok(())
}

/// As in PyTorch: one NaN makes the loss NaN, and every gradient that the sum of squares is in.
pub async fn keeps_nan(gpu: &Gpu) -> Result<(), Failed> {
    let mut y = Y;
    y[1] = f32::NAN;
    let nan = |values: &[f32]| values.iter().map(|v| v.is_nan()).collect::<Vec<bool>>();
    let only = [false, true, false, false, false, false];
    for (log_var, want) in [(None, [true; 6]), (Some(0.5), only)] {
        let [loss, grad_y, grad_s] = of(gpu, &y, log_var).await?;
        let right = nan(&loss) == [true] && nan(&grad_y) == want;
        if !right || nan(&grad_s).contains(&false) {
            return Err(format!("{log_var:?}: {loss:?}, {grad_y:?}, {grad_s:?}").into());
        }
    }
    Ok(())
}
