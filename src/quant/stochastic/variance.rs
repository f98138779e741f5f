//! What has a variance of its own.

/// What the learned variance is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Variance {
    /// All vectors have one variance.
    #[serde(rename = "gaussian_1")]
    All,
    /// Each image has its own.
    #[serde(rename = "gaussian_2")]
    Image,
    /// Each vector.
    #[serde(rename = "gaussian_3")]
    Vector,
    /// Each value of each vector.
    #[serde(rename = "gaussian_4")]
    Value,
    /// Directions, drawn from a von Mises-Fisher distribution, in place of points.
    #[serde(rename = "vmf")]
    Directions,
}

impl Variance {
    /// Whether the encoder gives a log-variance for it.
    #[must_use]
    pub fn of_encoder(self) -> bool {
        matches!(self, Self::Image | Self::Vector | Self::Value)
    }
}
