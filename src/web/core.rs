//! A training session, and what it shows.

use std::sync::Arc;

use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;

use super::data::Data;
use super::seen::{Explained, Quantizer, View};
use super::{Device, JsResult, parse_options, say_idle};
use crate::error::{Error, Result};
use crate::train::{
    Codes, Decoder, Evaluating, Inference, Inferred, Projection, Session, StepMetrics, TrainOptions,
};

/// How many of the nearest codes are told.
const NEAREST: usize = 3;

/// The `count` nearest of `codes` `[K, F]` to `vector` `[F]`, with their distances.
fn nearest(vector: &[f32], codes: &[f32], count: usize) -> Vec<(u32, f32)> {
    let squared = |code: &[f32]| -> f32 {
        code.iter()
            .zip(vector)
            .map(|(c, v)| (c - v) * (c - v))
            .sum()
    };
    let rows = codes.chunks_exact(vector.len().max(1));
    let mut all: Vec<(u32, f32)> = (0..).zip(rows.map(squared)).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    all.truncate(count);
    all.iter().map(|(k, d)| (*k, d.sqrt())).collect()
}

/// Plans that are kept, for images and codes of other numbers and sizes.
const KEPT: usize = 2;

/// A training session.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    session: Session,
    options: TrainOptions,
    projection: Projection,
    /// The plans of the images that are shown, each for a number of them; the last used one comes last.
    shown: Vec<(usize, Inference)>,
    /// Those of codes, by number, height and width.
    decoders: Vec<([usize; 3], Decoder)>,
    evaluating: Option<Evaluating>,
}

/// Takes the plan of `key` out of those that are kept.
fn take<K: PartialEq, P>(kept: &mut Vec<(K, P)>, key: &K) -> Option<P> {
    let at = kept.iter().position(|(k, _)| k == key)?;
    Some(kept.remove(at).1)
}

/// Puts a plan among those that are kept; the one that was not used for longest goes.
fn keep<K, P>(kept: &mut Vec<(K, P)>, key: K, plan: P) -> &P {
    if kept.len() >= KEPT {
        kept.remove(0);
    }
    kept.push((key, plan));
    &kept[kept.len() - 1].1
}

fn to_json(metrics: &StepMetrics) -> String {
    json!(metrics).to_string()
}

#[wasm_bindgen]
impl Core {
    /// A session of `options` (JSON, some of them) on `data`.
    ///
    /// # Errors
    /// The library's errors as exceptions.
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, data: &Data, options: &str) -> JsResult<Self> {
        let given = options;
        let options = parse_options(given)?;
        say_idle(given, &options);
        let model = options.build_model(data.set.shape()[0])?;
        let gpu = Arc::clone(&device.gpu);
        let session = Session::new(gpu, model, Arc::clone(&data.set), options.session())?;
        Ok(Self {
            session,
            options,
            projection: Projection::default(),
            shown: Vec::new(),
            decoders: Vec::new(),
            evaluating: None,
        })
    }

    /// All options as JSON.
    #[must_use]
    pub fn options(&self) -> String {
        json!(self.options).to_string()
    }

    /// JSON: steps done, numbers of parameters and dispatches, the work of a step, `[H, W]` of an image's codes, K (0 without a
    /// quantiser).
    #[must_use]
    pub fn describe(&self) -> String {
        let session = &self.session;
        let [_, height, width] = session.data().shape();
        let by = self.options.model.granularity();
        json!({
            "step": session.steps_done(), "parameters": session.parameter_count(),
            "dispatches": session.plan().dispatches(), "work": session.plan().work(), "cells": [height / by, width / by],
            "codes": session.code_count(0).unwrap_or(0),
        })
        .to_string()
    }

    /// Submits a step; metrics (JSON) of one a few steps back, once there are any.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub async fn step(&mut self) -> JsResult<Option<String>> {
        Ok(self.session.step().await?.as_ref().map(to_json))
    }

    /// Metrics (JSON) of the oldest step that has not reported, waited for.
    ///
    /// # Errors
    /// As [`Session::next_metrics`].
    pub async fn next_metrics(&mut self) -> JsResult<Option<String>> {
        Ok(self.session.next_metrics().await?.as_ref().map(to_json))
    }

    /// See [`Session::submit_in_parts`].
    pub fn submit_in_parts(&mut self, parts: usize) {
        self.session.submit_in_parts(parts);
    }

    /// Goes on with other options (JSON, all of them). All steps must have reported, unless only the learning
    /// rate differs: then nothing is recorded anew.
    ///
    /// # Errors
    /// As [`Session::reconfigure`].
    pub async fn reconfigure(&mut self, options: &str) -> JsResult<()> {
        let options = parse_options(options)?;
        let lr = options.lr;
        let same_rate = TrainOptions {
            lr: self.options.lr,
            ..options.clone()
        };
        if same_rate == self.options {
            self.session.set_lr(lr)?;
            self.options = options;
            return Ok(());
        }
        let model = options.build_model(self.session.data().shape()[0])?;
        self.session.reconfigure(model, options.session()).await?;
        self.options = options;
        // They stand on the arenas of the former plan.
        self.shown.clear();
        self.decoders.clear();
        self.evaluating = None;
        Ok(())
    }

    /// Runs images (bytes of the data set's shape) through their plan, which is the last of those kept.
    async fn infer(&mut self, pixels: &[u8]) -> Result<Inferred> {
        let stride = self.session.data().train.stride();
        if pixels.is_empty() || !pixels.len().is_multiple_of(stride) {
            return Err(Error::Config(format!(
                "{} bytes are no whole number of images of {:?} [C, H, W]",
                pixels.len(),
                self.session.data().shape()
            )));
        }
        let count = pixels.len() / stride;
        let plan = match take(&mut self.shown, &count) {
            Some(plan) => plan,
            None => {
                let [c, h, w] = self.session.data().shape();
                self.session.inference(&[count, c, h, w])?
            }
        };
        let plan = keep(&mut self.shown, count, plan);
        let inferred = plan.run(self.session.gpu(), pixels).await?;
        inferred.check()?;
        Ok(inferred)
    }

    fn last_shown(&self) -> Result<&Inference> {
        let last = self.shown.last().map(|(_, plan)| plan);
        last.ok_or_else(|| Error::Config("there are no images to show".into()))
    }

    /// Reconstructions and codes of images (bytes of the data set's shape).
    ///
    /// # Errors
    /// [`Error::Config`] when the length fits no number of images; as [`Inference::run`].
    pub async fn view(&mut self, pixels: Vec<u8>) -> JsResult<View> {
        let inferred = self.infer(&pixels).await?;
        Ok(View {
            images: self.last_shown()?.to_bytes(&inferred.images),
            codes: inferred.codes.into_iter().next().unwrap_or_default(),
        })
    }

    /// How the vectors of an image (bytes of the data set's shape) find their codes; nothing before the first step or
    /// without a quantiser.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub async fn explain(&mut self, pixels: Vec<u8>) -> JsResult<Option<Explained>> {
        let Some(seen) = self.session.inspect(0).await? else {
            return Ok(None);
        };
        self.infer(&pixels).await?;
        let plan = self.last_shown()?;
        let vectors = plan.vectors(self.session.gpu(), 0).await?;
        let features = seen.features;
        // Without a codebook the codes are what the batch was rounded to.
        let known = seen.codes.len() != seen.vectors.len();
        let rows = vectors.chunks_exact(features);
        let found: Vec<(u32, f32)> = rows
            .filter(|_| known)
            .flat_map(|vector| nearest(vector, &seen.codes, NEAREST))
            .collect();
        let all = [vectors.as_slice(), seen.codes.as_slice()].concat();
        let [_, mut points] = self.projection.project(features, &seen.vectors, &all);
        let codes = points.split_off(2 * vectors.len() / features);
        let (nearest, distances) = found.into_iter().unzip();
        Ok(Some(Explained {
            vectors: points,
            codes,
            nearest,
            distances,
        }))
    }

    /// The images (bytes) of `codes`, `height` x `width` of them each.
    ///
    /// # Errors
    /// [`Error::Config`] when they are no whole number of images; [`crate::ShapeError`] when a code does not exist;
    /// as [`Decoder::run`].
    pub async fn decode(
        &mut self,
        codes: Vec<u32>,
        height: usize,
        width: usize,
    ) -> JsResult<Vec<u8>> {
        let cells = height * width;
        if codes.is_empty() || cells == 0 || !codes.len().is_multiple_of(cells) {
            return Err(Error::Config(format!(
                "{} codes are no whole number of images of {height} x {width}",
                codes.len()
            ))
            .into());
        }
        let codes = Codes {
            shape: vec![codes.len() / cells, height, width],
            // One that is too large for this is too large for any codebook, and refused as negative.
            values: codes.into_iter().map(u32::cast_signed).collect(),
        };
        let key = [codes.shape[0], height, width];
        let kept = take(&mut self.decoders, &key);
        let (images, decoder) = self.session.decode_with(kept, &[codes]).await?;
        keep(&mut self.decoders, key, decoder);
        Ok(images.pixels)
    }

    /// `count` new images (bytes) with the codes that were drawn for them, see [`Session::draw_codes`].
    ///
    /// # Errors
    /// [`Error::Config`] without a quantiser; as [`Session::draw`].
    pub async fn draw(&mut self, count: usize, seed: f64) -> JsResult<View> {
        let codes = self.session.draw_codes(count, seed as u64).await?;
        let own = codes[0].values.iter().map(|code| code.cast_unsigned());
        let (own, shape) = (own.collect(), &codes[0].shape);
        let key = [shape[0], shape[1], shape[2]];
        let kept = take(&mut self.decoders, &key);
        let (images, decoder) = self.session.decode_with(kept, &codes).await?;
        keep(&mut self.decoders, key, decoder);
        Ok(View {
            images: images.pixels,
            codes: own,
        })
    }

    /// Takes the next batch of test images into the evaluation under way, or begins one; how many are in it.
    ///
    /// # Errors
    /// As [`Session::evaluate`].
    pub async fn evaluate_batch(&mut self) -> JsResult<usize> {
        let begin = || self.session.begin_evaluation();
        let evaluating = self.evaluating.get_or_insert_with(begin);
        let test = &self.session.data().test;
        self.session.evaluate_batch(evaluating, test).await?;
        Ok(evaluating.done())
    }

    /// Ends the evaluation under way, wherever it is: figures as JSON over the images in it; none without any.
    ///
    /// # Errors
    /// As [`Evaluating::finish`].
    pub fn end_evaluation(&mut self) -> JsResult<Option<String>> {
        let ended = self.evaluating.take().filter(|e| e.done() > 0);
        Ok(match ended {
            Some(evaluating) => Some(json!(evaluating.finish()?).to_string()),
            None => None,
        })
    }

    /// How the codes were used: counts and ages alone of [`Quantizer`]; all empty before the first step or without one.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub async fn usage(&mut self) -> JsResult<Quantizer> {
        let usage = self.session.code_usage(0).await?;
        Ok(usage.map_or_else(Default::default, |u| Quantizer {
            counts: u.counts,
            ages: u.ages,
            ..Default::default()
        }))
    }

    /// What the quantiser holds; all empty before the first step or without one. At most
    /// `points` vectors are taken.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub async fn quantizer(&mut self, points: usize) -> JsResult<Quantizer> {
        let Some(seen) = self.session.inspect(0).await? else {
            return Ok(Quantizer::default());
        };
        let usage = self.session.code_usage(0).await?;
        let features = seen.features;
        let taken = points.min(seen.q.len());
        let rows = &seen.vectors[..taken * features];
        let [vectors, codes] = self.projection.project(features, rows, &seen.codes);
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len().max(1) as f32;
        let groups = (seen.scale.len() / features).max(1);
        let each = seen.gamma.len() / features;
        let gamma = |f: usize| match each {
            1 => seen.gamma[f],
            _ => {
                let column = seen.gamma.iter().skip(f).step_by(features);
                (column.map(|v| v * v).sum::<f32>() / each as f32).sqrt()
            }
        };
        let (counts, ages) = usage.map_or_else(Default::default, |u| (u.counts, u.ages));
        Ok(Quantizer {
            counts,
            ages,
            vectors,
            codes,
            q: seen.q[..taken].to_vec(),
            scale: seen.scale.chunks(groups).map(mean).collect(),
            gamma: (0..if each == 0 { 0 } else { features })
                .map(gamma)
                .collect(),
        })
    }

    /// The checkpoint with its training state, in one file; all steps must have reported.
    ///
    /// # Errors
    /// As [`Session::checkpoint`].
    pub async fn save(&self) -> JsResult<Vec<u8>> {
        Ok(self.session.checkpoint(json!(self.options)).await?)
    }

    /// Takes up a checkpoint of the same model, from one file, see [`super::join`]; all steps must have
    /// reported.
    ///
    /// # Errors
    /// As [`Session::restore`].
    pub fn load(&mut self, checkpoint: &[u8]) -> JsResult<()> {
        self.session
            .restore(checkpoint)
            .map_err(|e| Error::Config(format!("the checkpoint {e}")).into())
    }
}
