//! NaN that stays NaN.

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepUniform, Store, Var};
use semivq::ops::activation::Activation;
use semivq::ops::loss::PixelLoss;
use semivq::ops::max_pool2d::max_pool2d;

use super::support::harness::{Failed, Outcome};

/// Runs an elementwise or pooling operation forward and backward on `x` with a gradient of ones.
async fn both_ways(
    gpu: &Gpu,
    shape: &[usize],
    x: &[f32],
    op: impl Fn(&mut Recorder<'_>, Var) -> semivq::Result<Var>,
) -> Result<(Vec<f32>, Vec<f32>), Failed> {
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true);
    let input = rec.input("x", shape);
    rec.require_gradient(input);
    let y = op(&mut rec, input)?;
    rec.keep(y);
    let y_shape = rec.shape(y).to_vec();
    let grad_y = rec.input("grad_y", &y_shape);
    rec.seed_gradient(y, grad_y);
    rec.backward()?;
    let grad = rec.gradient(input).ok_or("no gradient")?;
    rec.keep(grad);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions::default())?;
    plan.write(gpu, input, x)?;
    plan.write(gpu, grad_y, &vec![1.0_f32; y_shape.iter().product()])?;
    plan.run(gpu, &StepUniform::default());
    Ok((plan.read(gpu, y).await?, plan.read(gpu, grad).await?))
}

/// What PyTorch 2.15 gives at NaN: `relu, elu, gelu, sigmoid, clamp(-1, 1)` of NaN are NaN; their gradients 1, 1,
/// NaN, NaN, 0.
pub async fn activations_keep_nan(gpu: &Gpu) -> Outcome {
    for (kind, slope) in [
        (Activation::Relu, 1.0),
        (Activation::Elu, 1.0),
        (Activation::Gelu, f32::NAN),
        (Activation::Sigmoid, f32::NAN),
        (Activation::Clamp, 0.0),
    ] {
        // Five are done one by one, eight by fours.
        for len in [5, 8] {
            let mut x = vec![0.5; len];
            x[3] = f32::NAN;
            let (y, grad) = both_ways(gpu, &[len], &x, |rec, x| Ok(kind.apply(rec, x))).await?;
            let same = grad[3] == slope || (grad[3].is_nan() && slope.is_nan());
            if !y[3].is_nan() || !same || y[2].is_nan() || grad[2].is_nan() {
                return Err(format!("{kind:?}: {y:?}, gradient {grad:?}").into());
            }
        }
    }
    Ok(())
}

/// As PyTorch's `max_pool2d`: a NaN is the maximum of its window, the last of several, and takes the gradient.
pub async fn pooling_keeps_nan(gpu: &Gpu) -> Outcome {
    let mut x: Vec<f32> = (0..16).map(|i| i as f32).collect();
    x[0] = f32::NAN;
    x[4] = f32::NAN;
    let (y, grad) = both_ways(gpu, &[1, 1, 4, 4], &x, |rec, x| max_pool2d(rec, x, 2, 2)).await?;
    let right = y[0].is_nan() && y[1..] == [7.0, 13.0, 15.0] && grad[4] == 1.0 && grad[0] == 0.0;
    if right {
        return Ok(());
    }
    Err(format!("{y:?}, gradient {grad:?}").into())
}

/// As PyTorch's `l1_loss` and `mse_loss`: one NaN makes the mean NaN; its own gradient is 0 and NaN.
pub async fn losses_keep_nan(gpu: &Gpu) -> Outcome {
    for (loss, slope) in [(PixelLoss::L1, 0.0), (PixelLoss::Mse, f32::NAN)] {
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true);
        let y = rec.input("y", &[4]);
        let target = rec.input("target", &[4]);
        rec.require_gradient(y);
        let mean = loss.apply(&mut rec, "loss", y, target, 1.0)?;
        rec.backward()?;
        let grad = rec.gradient(y).ok_or("no gradient")?;
        rec.keep(grad);
        let recording = rec.finish();
        let store = Store::new(gpu, layout, 0)?;
        let plan = recording.build(gpu, &store, BuildOptions::default())?;
        plan.write(gpu, y, &[1.0_f32, f32::NAN, 3.0, 4.0])?;
        plan.write(gpu, target, &[0.0_f32; 4])?;
        plan.run(gpu, &StepUniform::default());
        let (mean, grad) = (plan.read(gpu, mean).await?, plan.read(gpu, grad).await?);
        let same = grad[1] == slope || (grad[1].is_nan() && slope.is_nan());
        if !mean[0].is_nan() || !same || grad[0].is_nan() {
            return Err(format!("{loss:?}: {mean:?}, gradient {grad:?}").into());
        }
    }
    Ok(())
}
