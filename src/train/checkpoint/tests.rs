//! Checkpoints there and back, damaged ones, and those of version 0.1.0.

use super::*;

fn named(name: &str, values: &[f32]) -> NamedTensor {
    (name.to_owned(), vec![values.len()], values.to_vec())
}

fn state() -> State {
    State {
        model: "simple".into(),
        step: 7,
        seed: 3,
        options: serde_json::json!({"lr": 0.5}),
        run: Some(9),
        tensors: vec![
            named("a.running_mean", &[9.0]),
            named("a.weight", &[1.0, -2.5]),
            named("b.weight", &[0.25]),
        ],
        training: Training::Here(TrainingState {
            buffers: vec![named("a.velocity", &[0.5, -0.5])],
            moment1: vec![named("a.weight", &[0.1, 0.2]), named("b.weight", &[0.3])],
            moment2: vec![named("a.weight", &[0.4, 0.5]), named("b.weight", &[0.6])],
        }),
    }
}

#[test]
fn a_state_survives_its_file_bit_for_bit() {
    let bytes = state().to_bytes().unwrap();
    assert_eq!(bytes, state().to_bytes().unwrap());
    assert_eq!(State::from_bytes(&bytes).unwrap(), state());
}

#[test]
fn a_state_survives_its_two_files_bit_for_bit() {
    let [model, training] = state().to_files("training-7.safetensors").unwrap();
    // Nothing but the model, so that a strict load_state_dict takes it.
    let file = SafeTensors::deserialize(&model).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    assert_eq!(names, ["a.running_mean", "a.weight", "b.weight"]);
    let mut read = State::from_bytes(&model).unwrap();
    let text = read.training().unwrap_err().to_string();
    assert!(text.contains("training-7.safetensors is needed"), "{text}");
    assert!(read.to_bytes().is_err());
    read.add_training(&training).unwrap();
    assert_eq!(read, state());
    let other = State { step: 8, ..state() }.to_files("t").unwrap();
    let text = read.add_training(&other[1]).unwrap_err().to_string();
    assert!(text.contains("step 8") && text.contains("step 7"), "{text}");
    let other = State {
        run: Some(8),
        ..state()
    };
    let text = read
        .add_training(&other.to_files("t").unwrap()[1])
        .unwrap_err()
        .to_string();
    assert!(text.contains("of another run"), "{text}");
    let before = State {
        run: None,
        ..state()
    };
    read.add_training(&before.to_files("t").unwrap()[1])
        .unwrap();
    let text = State::from_bytes(&training).unwrap_err().to_string();
    assert!(text.contains("no checkpoint of semivq"), "{text}");
}

/// Values read from the file by Python (json, base64, struct).
#[test]
fn a_file_of_version_0_1_0_is_read() {
    let bytes = include_bytes!("../../../tests/cases/version-0.1.0/checkpoint.safetensors");
    let state = State::from_bytes(bytes).unwrap();
    assert_eq!((state.step, state.seed, state.tensors.len()), (2, 0, 9));
    assert_eq!(state.options["method"], "vq");
    let training = state.training().unwrap();
    let find = |all: &[NamedTensor], name: &str| {
        let found = all.iter().find(|(n, ..)| n == name);
        found.map(|(_, _, values)| values[..2].to_vec()).unwrap()
    };
    let moment1 = find(&training.moment1, "layers.0.weight");
    assert_eq!(moment1, [0.000_117_990_13, 0.000_381_439_1]);
    let moment2 = find(&training.moment2, "layers.5.codebook.weight");
    assert_eq!(moment2, [0.0, 0.024_253_458]);
    let countdown = find(&training.buffers, "layers.5.countdown");
    assert_eq!(countdown, [1.0, 3.0]);
}

#[test]
fn damage_is_an_error() {
    let bytes = state().to_bytes().unwrap();
    for cut in [0, 4, 20, bytes.len() / 2, bytes.len() - 1] {
        let error = State::from_bytes(&bytes[..cut]).unwrap_err().to_string();
        assert!(error.contains("safetensors"), "{error}");
    }
    let foreign = safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None).unwrap();
    assert!(
        State::from_bytes(&foreign)
            .unwrap_err()
            .to_string()
            .contains("no checkpoint of semivq")
    );
}

#[test]
fn nan_and_infinity_are_named() {
    use crate::gpu::Init;
    let mut layout = ParameterLayout::default();
    let zero = Init::Constant(0.0);
    layout.parameter("a.weight", &[2], zero).unwrap();
    layout.parameter("b.weight", &[1], zero).unwrap();
    layout
        .buffer("a.running_mean", &[1], zero, Role::Model)
        .unwrap();
    layout
        .buffer("a.velocity", &[2], zero, Role::Training)
        .unwrap();
    let good = state();
    good.check("simple", &layout).unwrap();
    good.training().unwrap().check(&layout, 2).unwrap();
    for i in 0..good.tensors.len() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut state = good.clone();
            state.tensors[i].2[0] = value;
            let text = state.check("simple", &layout).unwrap_err().to_string();
            assert!(
                text.contains(&format!("holds {value} in `{}`", state.tensors[i].0)),
                "{text}"
            );
        }
    }
    let broken = |f: fn(&mut TrainingState), want: &str| {
        let mut training = good.training().unwrap().clone();
        f(&mut training);
        let text = training.check(&layout, 2).unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
    };
    broken(
        |t| t.moment1[1].2[0] = f32::NAN,
        "NaN in `moment1.b.weight`",
    );
    broken(
        |t| t.moment2[0].2[1] = f32::INFINITY,
        "inf in `moment2.a.weight`",
    );
    broken(
        |t| t.moment2[1].2[0] = -1.0,
        "holds -1 in `moment2.b.weight`, where nothing can be below 0",
    );
    broken(
        |t| t.buffers[0].2[0] = f32::NAN,
        "NaN in `training.a.velocity`",
    );
    broken(|t| drop(t.moment2.pop()), "no tensor `moment2.b.weight`");
    broken(|t| t.buffers.clear(), "no tensor `training.a.velocity`");
}
