//! An encoder and a decoder of your own around a quantiser, trained on the built-in images:
//! `cargo run --release --example custom_model`

use std::sync::Arc;

use semivq::data::synthetic;
use semivq::gpu::{AdapterChoice, Gpu, Var};
use semivq::models::{Builder, Model};
use semivq::ops::activation::Activation;
use semivq::ops::conv2d::Conv2dOptions;
use semivq::optim::Optimizer;
use semivq::quant::codebook::{CodebookConfig, Codes, Placing, Rule, Transform};
use semivq::quant::{Quantizer, QuantizerConfig};
use semivq::train::{Evaluation, Session, SessionOptions};

struct Mine {
    quantizer: Arc<dyn Quantizer>,
}

impl Model for Mine {
    fn name(&self) -> &str {
        "mine"
    }

    fn quantizers(&self) -> Vec<(&str, &dyn Quantizer)> {
        vec![("quantizer", self.quantizer.as_ref())]
    }

    fn encode(&self, net: &mut Builder<'_, '_>, images: Var) -> semivq::Result<Vec<Var>> {
        let halve = Conv2dOptions {
            kernel: 4,
            stride: 2,
            padding: 1,
        };
        let x = net.conv2d("encoder.0", images, 24, halve)?;
        let x = net.batch_norm("encoder.1", x)?;
        let x = net.activation(x, Activation::Elu);
        let z = net.conv2d("encoder.3", x, self.quantizer.latent().features, halve)?;
        let z = net.quantize("quantizer", z, self.quantizer.as_ref())?;
        Ok(vec![z])
    }

    fn decode(&self, net: &mut Builder<'_, '_>, z: &[Var]) -> semivq::Result<Var> {
        let x = net.upsample(z[0], 4)?;
        let x = net.conv2d("decoder.1", x, 24, Conv2dOptions::SAME_3X3)?;
        let x = net.gelu(x);
        net.conv2d("decoder.3", x, 1, Conv2dOptions::SAME_3X3)
    }
}

fn main() -> semivq::Result<()> {
    pollster::block_on(async {
        let gpu = Arc::new(Gpu::new(&AdapterChoice::default()).await?);
        let test = train(gpu, 200).await?;
        println!("test: l1 {:.4}, mse {:.4}", test.l1, test.mse);
        Ok(())
    })
}

async fn train(gpu: Arc<Gpu>, steps: u32) -> semivq::Result<Evaluation> {
    let quantizer = QuantizerConfig::Codebook(CodebookConfig {
        feature_size: 16,
        num_codes: 64,
        codes: Codes::Learned {
            rule: Rule::Gradient { beta: 0.97 },
            transform: Transform::Alpha {
                groups: 1,
                penalty: None,
            },
            gamma: None,
            sync_nu: 0.0,
            placing: Placing::default(),
        },
        ..CodebookConfig::default()
    })
    .build()?;
    let options = SessionOptions {
        batch: 32,
        lr: 2e-3,
        seed: 1,
        optimizer: Optimizer::default(),
        ..SessionOptions::default()
    };
    let mut session = Session::new(
        gpu,
        Box::new(Mine { quantizer }),
        synthetic::glyphs(1),
        options,
    )?;
    for _ in 0..steps {
        if let Some(m) = session.step().await?.filter(|m| m.step % 20 == 0) {
            println!(
                "step {}: rec loss {:.4}, perplexity {:.1}",
                m.step,
                m.rec_loss,
                m.perplexity.unwrap_or(0.0)
            );
        }
    }
    session.evaluate(&session.data().test).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `SEMIVQ_REQUIRE_GPU=1` a machine without an adapter fails.
    #[test]
    fn it_learns() -> semivq::Result<()> {
        pollster::block_on(async {
            let gpu = match Gpu::new(&AdapterChoice::default()).await {
                Ok(gpu) => Arc::new(gpu),
                Err(why) if std::env::var("SEMIVQ_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
                    return Err(why);
                }
                Err(why) => {
                    println!("ignored: {why}");
                    return Ok(());
                }
            };
            let before = train(Arc::clone(&gpu), 0).await?.l1;
            let after = train(gpu, 20).await?.l1;
            assert!(after < 0.7 * before, "{before} became {after} only");
            Ok(())
        })
    }
}
