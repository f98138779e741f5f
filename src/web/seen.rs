//! What a session shows, as typed arrays.

use wasm_bindgen::prelude::wasm_bindgen;

/// Images and codes of a view.
#[wasm_bindgen(getter_with_clone)]
#[derive(Debug)]
pub struct View {
    /// Reconstructions, as bytes.
    #[wasm_bindgen(readonly)]
    pub images: Vec<u8>,
    /// Codes of all images, of several code maps those of the first; empty without a quantiser.
    #[wasm_bindgen(readonly)]
    pub codes: Vec<u32>,
}

/// What the quantiser holds.
#[wasm_bindgen(getter_with_clone)]
#[derive(Debug, Default)]
pub struct Quantizer {
    /// Vectors of each code over the last epoch's worth of them `[K]`.
    #[wasm_bindgen(readonly)]
    pub counts: Vec<f32>,
    /// Steps since each code was used last `[K]`.
    #[wasm_bindgen(readonly)]
    pub ages: Vec<f32>,
    /// Vectors of the last batch on the plane of their largest deviations, x and y of each.
    #[wasm_bindgen(readonly)]
    pub vectors: Vec<f32>,
    /// The codes on the same plane.
    #[wasm_bindgen(readonly)]
    pub codes: Vec<f32>,
    /// Code of each vector.
    #[wasm_bindgen(readonly)]
    pub q: Vec<u32>,
    /// Scale of the codebook for each feature, mean over groups; alpha in Approach 1.
    #[wasm_bindgen(readonly)]
    pub scale: Vec<f32>,
    /// Gamma for each feature; its root mean square over the codes where each has its own.
    #[wasm_bindgen(readonly)]
    pub gamma: Vec<f32>,
}

/// How the vectors of an image find their codes.
#[wasm_bindgen(getter_with_clone)]
#[derive(Debug)]
pub struct Explained {
    /// The image's vectors on the plane of [`Quantizer::vectors`], x and y of each.
    #[wasm_bindgen(readonly)]
    pub vectors: Vec<f32>,
    /// The codes on the same plane.
    #[wasm_bindgen(readonly)]
    pub codes: Vec<f32>,
    /// The nearest codes of each vector, three of them; empty without a codebook.
    #[wasm_bindgen(readonly)]
    pub nearest: Vec<u32>,
    /// The distance of each of them.
    #[wasm_bindgen(readonly)]
    pub distances: Vec<f32>,
}
