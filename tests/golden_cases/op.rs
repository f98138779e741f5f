//! Kind `op`: one operation, forward and backward.

use semivq::gpu::{BuildOptions, Gpu, Init, ParameterLayout, Recorder, StepValues, Store, Var};
use semivq::ops::activation::Activation;
use semivq::ops::batch_norm::{BatchNormState, batch_norm};
use semivq::ops::conv_transpose2d::conv_transpose2d;
use semivq::ops::conv2d::{Conv2dOptions, conv2d};
use semivq::ops::group_norm::group_norm;
use semivq::ops::linear::{Bias, linear};
use semivq::ops::loss::PixelLoss;
use semivq::ops::max_pool2d::max_pool2d;
use semivq::ops::upsample::upsample_nearest;

use super::{Case, Fallible, LAYER};

fn record(case: &Case, rec: &mut Recorder<'_>, x: Var) -> Fallible<Var> {
    let parameter = |rec: &mut Recorder<'_>, name: &str| -> Fallible<Var> {
        let shape = &case.tensor(&format!("param.{name}"))?.shape;
        Ok(rec.parameter(name, shape, Init::Constant(0.0))?)
    };
    let op = case.text("op")?;
    let activation = match op {
        "gelu" => Some(Activation::Gelu),
        "elu" => Some(Activation::Elu),
        "relu" => Some(Activation::Relu),
        "sigmoid" => Some(Activation::Sigmoid),
        "clamp" => Some(Activation::Clamp),
        _ => None,
    };
    if let Some(activation) = activation {
        return Ok(activation.apply(rec, x));
    }
    Ok(match op {
        "conv2d" | "conv_transpose2d" => {
            let options = Conv2dOptions {
                kernel: case.number("kernel")? as usize,
                stride: case.number("stride")? as usize,
                padding: case.number("padding")? as usize,
            };
            let (w, bias) = (parameter(rec, "weight")?, parameter(rec, "bias")?);
            if op == "conv2d" {
                conv2d(rec, x, w, Some(bias), options)?
            } else {
                conv_transpose2d(rec, x, w, bias, options)?
            }
        }
        "linear" => {
            let (w, bias) = (parameter(rec, "weight")?, parameter(rec, "bias")?);
            linear(rec, x, w, bias, Bias::Matters)?
        }
        "group_norm" => {
            let affine = (parameter(rec, "weight")?, parameter(rec, "bias")?);
            let groups = case.number("groups")? as usize;
            group_norm(rec, x, groups, 1e-6, Some(affine))?
        }
        "instance_norm2d" => {
            let channels = rec.shape(x)[1];
            group_norm(rec, x, channels, 1e-5, None)?
        }
        "max_pool2d" => max_pool2d(rec, x, 2, 2)?,
        "upsample_nearest2x" => upsample_nearest(rec, x, 2)?,
        "batch_norm1d" | "batch_norm2d" => {
            let channels = rec.shape(x)[1];
            let state = BatchNormState {
                weight: parameter(rec, "weight")?,
                bias: parameter(rec, "bias")?,
                running_mean: rec.buffer("running_mean", &[channels], 0.0)?,
                running_var: rec.buffer("running_var", &[channels], 1.0)?,
            };
            batch_norm(rec, x, state)?
        }
        other => return Err(format!("unknown op {other}").into()),
    })
}

pub async fn run(gpu: &Gpu, case: &mut Case) -> Fallible<()> {
    let mut layout = ParameterLayout::guarded();
    let training = case.config["training"].as_bool().unwrap_or(true);
    let mut rec = Recorder::new(&mut layout, training).tuned_for(gpu);
    let input = case.tensor("in.x")?;
    let x = rec.input("x", &input.shape);
    rec.require_gradient(x);
    let loss = match case.text("op")? {
        "l1_loss" => Some(PixelLoss::L1),
        "mse_loss" => Some(PixelLoss::Mse),
        _ => None,
    };
    let (y, second, second_values) = if let Some(loss) = loss {
        let target = rec.input("target", &input.shape);
        let y = loss.apply(&mut rec, "loss", x, target, 1.0)?;
        (y, target, &case.tensor("in.target")?.values)
    } else {
        let y = record(case, &mut rec, x)?;
        rec.keep(y);
        let shape = rec.shape(y).to_vec();
        let grad_y = rec.input("grad_y", &shape);
        rec.seed_gradient(y, grad_y);
        (y, grad_y, &case.tensor("in.grad_y")?.values)
    };
    rec.backward()?;
    let grad_x = rec.gradient(x).ok_or("no gradient of x")?;
    rec.keep(grad_x);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    store.poison_gradients(gpu);
    case.load_parameters(gpu, &store)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    plan.write(gpu, x, &case.tensor("in.x")?.values)?;
    plan.write(gpu, second, second_values)?;
    plan.run(gpu, &StepValues::default())?;
    plan.check_guards(gpu).await?;
    store.check_gradient_guards(gpu).await?;
    case.compare("out.y", &plan.read(gpu, y).await?, LAYER)?;
    case.compare("grad.x", &plan.read(gpu, grad_x).await?, LAYER)?;
    case.compare_store(gpu, &store, true, true, LAYER).await
}
