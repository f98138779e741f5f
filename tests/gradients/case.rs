//! A case: central differences of its reference, and its kernels beside that.

use semivq::gpu::{
    BuildOptions, Dispatch, Gpu, ParameterLayout, Recorder, StepValues, Store, Traits, Var,
};
use semivq::ops::reference::Reference;

use super::support::harness::Failed;
use super::support::{normals, share_by_rows};

type Record = Box<dyn Fn(&mut Recorder<'_>, &[Var]) -> semivq::Result<Var> + Send + Sync>;
type Check = Box<dyn Fn(&[Vec<f32>]) -> Result<(), Failed> + Send + Sync>;
type Backward = Box<dyn Fn(&[Vec<f32>], &[f32]) -> (Vec<f32>, Vec<Vec<f32>>) + Send + Sync>;

/// One operation on one set of shapes.
pub struct Case {
    pub name: String,
    pub shapes: Vec<Vec<usize>>,
    /// A loss is a root: nothing comes from above.
    pub root: bool,
    pub differences: Check,
    pub reference: Backward,
    pub record: Record,
}

/// Central differences of `sum(y * w)` in f64 against the reference's own backward.
fn central_differences<R: Reference>(op: &R, inputs: &[Vec<f32>]) -> Result<(), Failed> {
    const H: f64 = 1e-5;
    let mut x: Vec<Vec<f64>> = inputs
        .iter()
        .map(|v| v.iter().map(|x| f64::from(*x)).collect())
        .collect();
    let y = op.forward(&x);
    let w: Vec<f64> = normals("upstream", y.len())
        .iter()
        .map(|v| f64::from(*v))
        .collect();
    let scalar = |x: &[Vec<f64>]| -> f64 { op.forward(x).iter().zip(&w).map(|(a, b)| a * b).sum() };
    for (i, grad) in op.backward(&x, &w).iter().enumerate() {
        // Every element of small inputs, a spread of those of large ones.
        let stride = (grad.len() / 60).max(1);
        for j in (0..grad.len()).step_by(stride) {
            let at = x[i][j];
            x[i][j] = at + H;
            let above = scalar(&x);
            x[i][j] = at - H;
            let below = scalar(&x);
            x[i][j] = at;
            let slope = (above - below) / (2.0 * H);
            let error = (slope - grad[j]).abs();
            if error.is_nan() || error > 1e-6 * (1.0 + slope.abs()) {
                return Err(format!(
                    "input {i}, element {j}: {} but central differences say {slope}",
                    grad[j]
                )
                .into());
            }
        }
    }
    Ok(())
}

pub fn case<R: Reference + Clone + Send + Sync + 'static>(
    name: &str,
    op: R,
    shapes: &[&[usize]],
    record: impl Fn(&mut Recorder<'_>, &[Var]) -> semivq::Result<Var> + Send + Sync + 'static,
) -> Case {
    let twin = op.clone();
    Case {
        name: name.to_owned(),
        shapes: shapes.iter().map(|s| s.to_vec()).collect(),
        root: false,
        differences: Box::new(move |inputs| central_differences(&op, inputs)),
        reference: Box::new(move |inputs, grad_y| {
            let wide: Vec<Vec<f64>> = inputs
                .iter()
                .map(|v| v.iter().map(|x| f64::from(*x)).collect())
                .collect();
            let grad: Vec<f64> = grad_y.iter().map(|v| f64::from(*v)).collect();
            let narrow = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
            let y = narrow(twin.forward(&wide));
            let grads = if grad.is_empty() {
                Vec::new()
            } else {
                twin.backward(&wide, &grad)
            };
            (y, grads.into_iter().map(narrow).collect())
        }),
        record: Box::new(record),
    }
}

pub fn inputs_of(case: &Case) -> Vec<Vec<f32>> {
    let one =
        |(i, s): (usize, &Vec<usize>)| normals(&format!("{} {i}", case.name), s.iter().product());
    case.shapes.iter().enumerate().map(one).collect()
}

/// The kernels against the reference in f64; the tolerance is that of the golden files.
pub async fn on_gpu(gpu: &Gpu, case: &Case) -> Result<(), Failed> {
    let inputs = inputs_of(case);
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(gpu);
    let vars: Vec<Var> = case.shapes.iter().map(|s| rec.input("input", s)).collect();
    for var in &vars {
        rec.require_gradient(*var);
    }
    let y = (case.record)(&mut rec, &vars)?;
    rec.keep(y);
    let shape = rec.shape(y).to_vec();
    let grad_y = rec.input("grad_y", &shape);
    let upstream = if case.root {
        vec![1.0]
    } else {
        normals("upstream", shape.iter().product())
    };
    if !case.root {
        rec.seed_gradient(y, grad_y);
    }
    rec.backward()?;
    let grads: Vec<Option<Var>> = vars.iter().map(|v| rec.gradient(*v)).collect();
    for grad in grads.iter().flatten() {
        rec.keep(*grad);
    }
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    for (var, values) in vars.iter().zip(&inputs) {
        plan.write(gpu, *var, values)?;
    }
    if !case.root {
        plan.write(gpu, grad_y, &upstream)?;
    }
    plan.run(gpu, &StepValues::default().with("position", 0_u32))?;
    plan.check_guards(gpu).await?;
    let (want_y, want_grads) = (case.reference)(&inputs, &upstream);
    let check = |what: String, got: &[f32], want: &[f32], shape: &[usize]| {
        let rows = if shape.len() > 1 { shape[0] } else { 1 };
        let share = share_by_rows(got, want, rows, 2e-5, 1e-6);
        if share > 1.0 {
            Err(format!("{what} at {share:.2} of the tolerance"))
        } else {
            Ok(())
        }
    };
    check("y".into(), &plan.read(gpu, y).await?, &want_y, &shape)?;
    for (i, (grad, want)) in grads.iter().zip(&want_grads).enumerate() {
        match grad {
            Some(grad) => check(
                format!("gradient of input {i}"),
                &plan.read(gpu, *grad).await?,
                want,
                &case.shapes[i],
            )?,
            None if want.is_empty() => {}
            None => return Err(format!("input {i} got no gradient").into()),
        }
    }
    gpu.check(&case.name)?;
    Ok(())
}

/// What a case dispatches, forward and backward, with kernels chosen by `traits`.
pub fn dispatches(case: &Case, traits: &Traits) -> semivq::Result<Vec<Dispatch>> {
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true).with_traits(traits.clone());
    let vars: Vec<Var> = case.shapes.iter().map(|s| rec.input("input", s)).collect();
    for var in &vars {
        rec.require_gradient(*var);
    }
    let y = (case.record)(&mut rec, &vars)?;
    if !case.root {
        let shape = rec.shape(y).to_vec();
        let grad_y = rec.input("grad_y", &shape);
        rec.seed_gradient(y, grad_y);
    }
    rec.backward()?;
    Ok(rec.dispatches().to_vec())
}
