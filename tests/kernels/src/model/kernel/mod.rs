pub mod conv;
pub mod cube;
pub mod gelu;
pub mod layer_norm;
pub mod norm;
pub mod residual;
