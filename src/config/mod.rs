//! Text → [`Pipeline`]. Never imports `burn`.

mod augment;
mod backbone;
mod byte_size;
mod check;
mod codes;
mod data;
mod device;
mod draft;
mod episode;
mod explain;
mod fault;
mod init;
mod layers;
mod load;
mod memory;
mod method;
mod migrate;
mod optimizer;
mod pipeline;
mod reference;
mod render;
mod schema;
mod shape;
mod source;
mod suggest;
mod train;
mod tree;
mod vic;
mod weights;

pub use augment::{Augment, Augmentation, Moments, Normalize, RandomResizedCrop};
pub use backbone::{Backbone, BackboneKind, BatchNormMode, Trunk};
pub use byte_size::ByteSize;
pub use check::check_files;
pub use codes::{CODES, Code, code};
pub use data::{Cache, Classes, Data, Format, OnBadImage, OtherData};
pub use device::DeviceSpec;
pub use episode::Episode;
pub use explain::{explain, keys, overview};
pub use fault::{Fault, FaultKind, FaultReport, Faults};
pub use init::init;
pub use load::{Loaded, Origin, Overrides, load, load_str};
pub use memory::{AccumulationUnit, Allocator, Amp, LossScale, Memory, OnOom, Recompute};
pub use method::{Alignment, Attention, Classifier, Distance, Method, MethodKind, Prototypes};
pub use migrate::{Migrated, migrate};
pub use optimizer::{Optimizer, OptimizerKind, Schedule, ScheduleKind};
pub use pipeline::Pipeline;
pub use reference::reference;
pub use render::{render, render_json};
pub use schema::{FILE_NAME, VERSION, schema, schema_text};
pub use source::{Source, SourceKind, Span};
pub use train::{Checkpoint, Test, Train, Validate};
pub use vic::{
    Covariance, CovarianceForm, Dynamic, DynamicDriver, Invariance, OnAttention, Variance, Vic,
    VicPreset,
};
pub use weights::{Weights, WeightsSource};
