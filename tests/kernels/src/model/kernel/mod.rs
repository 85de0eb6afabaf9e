pub mod adamw;
pub mod conv;
pub mod cube;
pub mod gelu;
pub mod images;
pub mod layer_norm;
pub mod norm;
pub mod pooled_sum;
pub mod product;
pub mod residual;
pub mod running;
pub mod squares;

pub use norm::Rectifier;
