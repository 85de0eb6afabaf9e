//! Text → [`Pipeline`]. Never imports `burn`.

mod backbone;
mod data;
mod device;
mod episode;
mod memory;
mod method;
mod optimizer;
mod pipeline;
mod train;
mod vic;

pub use backbone::{Backbone, BackboneKind};
pub use data::{Data, Format};
pub use device::DeviceSpec;
pub use episode::Episode;
pub use memory::{AccumulationUnit, Amp, LossScale, Memory};
pub use method::{Attention, Classifier, Method, MethodKind};
pub use optimizer::{Optimizer, OptimizerKind};
pub use pipeline::Pipeline;
pub use train::{Checkpoint, Test, Train, Validate};
pub use vic::{
    Covariance, CovarianceForm, Dynamic, DynamicDriver, Invariance, OnAttention, Variance, Vic,
    VicPreset,
};
