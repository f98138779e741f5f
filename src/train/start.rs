//! What a run does before its first step.

use super::Session;
use crate::error::{Error, Result};
use crate::gpu::{Arena, BuildOptions, ParameterLayout, Recorder, Store};
use crate::models::Builder;
use crate::quant::codebook::kmeans::{KMeansOptions, kmeans};
use crate::quant::codebook::{affine, simvq};
use crate::quant::{Seen, Start, map_name, tensor};

impl Session {
    /// Codebooks that start from k-means become the centroids of the first batch's vectors, in residual quantisation one
    /// after the other; one that is shared those of z. Done by the first step; a run that is resumed has its codebooks
    /// already.
    pub(super) async fn start_codebooks(&self) -> Result<()> {
        let mut begun = self.placed.clone();
        for (name, quantizer) in self.model.quantizers() {
            let Start::KMeans { effective } = quantizer.start() else {
                continue;
            };
            let maps = quantizer.maps();
            for map in 0..maps {
                let map = map_name(name, maps, map);
                self.start_codebook(&map, effective, &mut begun).await?;
            }
        }
        Ok(())
    }

    /// Places the codebook of a code map, unless it is among those that have `begun`. Those before it have, so that it
    /// begins on what they leave over.
    async fn start_codebook(
        &self,
        map: &str,
        effective: bool,
        begun: &mut Vec<String>,
    ) -> Result<()> {
        // The forward half of a training step, with copies of the parameters, so that it changes nothing.
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true).tuned_for(&self.gpu);
        let model = self.model.as_ref();
        let options = &self.options;
        let batch = self
            .feed
            .record_whole(&mut rec, model.pixel_range(), options.flip)?;
        let mut net = Builder::new(&mut rec, 0.0);
        model.forward(&mut net, batch)?;
        let own = net.seen().iter().find(|(name, _)| name == map);
        let seen: Seen = own
            .map(|(_, seen)| seen.clone())
            .ok_or_else(|| Error::Config(format!("the model does not use its quantiser {map}")))?;
        let Some(codebook) = seen.tensor(tensor::CODEBOOK) else {
            return Ok(());
        };
        let name = rec.name(codebook).to_owned();
        if begun.contains(&name) {
            return Ok(());
        }
        let recording = rec.finish();
        let store = Store::new(&self.gpu, layout, options.seed)?;
        let arenas = [Arena::Parameters, Arena::Buffers];
        store.take_over(&self.gpu, &self.store, &arenas).await?;
        let plan = recording.build(&self.gpu, &store, BuildOptions::default())?;
        plan.run(&self.gpu, &self.step_values(1))?;
        let z = plan.read(&self.gpu, seen.z).await?;
        let rows = seen.vectors.rows_of(&z);
        let options = KMeansOptions::new(seen.codes, options.seed);
        let features = seen.vectors.features;
        let found = kmeans(&self.gpu, &rows, features, options).await?;
        let mut codes = found.centroids;
        let transform = (seen.tensor(tensor::SCALE), seen.tensor(tensor::BIAS));
        if let (true, (Some(scale), Some(bias))) = (effective, transform) {
            let scale = plan.read(&self.gpu, scale).await?;
            let bias = plan.read(&self.gpu, bias).await?;
            affine::undo(&mut codes, &scale, &bias, features);
        }
        if let (true, Some(map)) = (effective, seen.tensor(tensor::MAP)) {
            let map = plan.read(&self.gpu, map).await?;
            simvq::undo(&mut codes, &map, features);
        }
        self.store.write_any(&self.gpu, &name, &codes)?;
        begun.push(name);
        Ok(())
    }
}
