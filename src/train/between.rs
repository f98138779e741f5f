//! Pictures between two images, by their vectors before the quantiser.

use super::Session;
use super::inference::{check_values, not_finite};
use super::step::values_of_evaluation;
use crate::data::Images;
use crate::error::{Result, ShapeError};
use crate::gpu::{BuildOptions, Recorder};
use crate::models::Builder;
use crate::ops::gather::{to_bytes, to_values};

impl Session {
    /// `count` pictures on the way from the image `a` to `b`: what the encoder makes of them is mixed in equal steps,
    /// quantised and decoded. Those at the ends are their reconstructions.
    ///
    /// # Errors
    /// [`ShapeError`] when the images are of different sizes, or less than two pictures are asked for;
    /// [`crate::Error::Limit`] when so many are too large for the device; [`crate::Error::NotFinite`] when the
    /// pictures hold NaN or infinity.
    pub async fn interpolate(&self, a: &Images, b: &Images, count: usize) -> Result<Images> {
        if a.shape != b.shape || count < 2 {
            let message = format!(
                "{count} pictures between {:?} and {:?}: at least 2 between two of one shape are possible",
                a.shape, b.shape
            );
            return Err(ShapeError::new("interpolate", message).into());
        }
        let [c, h, w] = a.shape;
        let mut layout = self.store.layout().clone();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(&self.gpu);
        let images = rec.input("images", &[count, c, h, w]);
        let mut net = Builder::new(&mut rec, 0.0).interpolating();
        let output = self.model.forward(&mut net, images)?;
        let unclamped = net.unclamped();
        rec.keep(output);
        let plan = rec
            .finish()
            .build(&self.gpu, &self.store, BuildOptions::default())?;
        let range = self.model.pixel_range();
        let mut pixels = a.range(0, 1).to_vec();
        // What is between the ends is not looked at.
        pixels.resize((count - 1) * a.range(0, 1).len(), 0);
        pixels.extend_from_slice(b.range(0, 1));
        plan.write(&self.gpu, images, &to_values(&pixels, range))?;
        plan.run(&self.gpu, &values_of_evaluation(self.model.as_ref()))?;
        if let Some(var) = unclamped {
            check_values(not_finite(&plan.read(&self.gpu, var).await?))?;
        }
        let values = plan.read(&self.gpu, output).await?;
        check_values(not_finite(&values))?;
        Ok(Images {
            shape: a.shape,
            pixels: to_bytes(&values, range),
            labels: None,
        })
    }
}
