//! What a run does before its first step.

use super::Session;
use crate::error::Result;
use crate::gpu::{Arena, BuildOptions, ParameterLayout, Recorder, Store};
use crate::models::Builder;
use crate::quant::Vectors;
use crate::quant::codebook::kmeans::{KMeansOptions, kmeans};

impl Session {
    /// With `kmeans_init`: the codebook becomes the centroids of the first batch's vectors. Done by
    /// the first step; a run that is resumed has its codebook already.
    pub(super) async fn start_codebook(&mut self) -> Result<()> {
        let (_, quantizer) = self.model.quantizer();
        if !quantizer.config().kmeans_init || quantizer.config().no_vq {
            return Ok(());
        }
        let config = quantizer.config().clone();
        // The forward half of a training step, with parameters of its own, so that it changes nothing.
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true).tuned_for(&self.gpu);
        let model = self.model.as_ref();
        let options = &self.options;
        let batch = self
            .feed
            .record(&mut rec, options.batch, model.pixel_range())?;
        let mut net = Builder::new(&mut rec, 0.0);
        model.forward(&mut net, batch)?;
        let Some(record) = net.record() else {
            return Ok(());
        };
        let Some(codebook) = record.codebook else {
            return Ok(());
        };
        let name = rec.name(codebook).to_owned();
        let vectors = Vectors::new(rec.shape(record.z), config.dim, config.feature_size)?;
        let recording = rec.finish();
        let store = Store::new(&self.gpu, layout, options.seed)?;
        let plan = recording.build(&self.gpu, &store, BuildOptions::default())?;
        plan.run(&self.gpu, &self.step_values(1))?;
        let z = plan.read(&self.gpu, record.z).await?;
        let rows: Vec<f32> = (0..vectors.count())
            .flat_map(|n| (0..vectors.features).map(move |f| (n, f)))
            .map(|(n, f)| z[vectors.index(n, f)])
            .collect();
        let options = KMeansOptions::new(config.num_codes, options.seed);
        let found = kmeans(&self.gpu, &rows, vectors.features, options).await?;
        let arena = if self
            .store
            .layout()
            .parameters()
            .iter()
            .any(|p| p.name == name)
        {
            Arena::Parameters
        } else {
            Arena::Buffers
        };
        self.store.write(&self.gpu, arena, &name, &found.centroids)
    }
}
