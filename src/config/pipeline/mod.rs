//! What a pipeline is: one element a file, each with its type and documentation.

mod augment;
mod backbone;
mod backprop;
mod byte_size;
mod checkpoint;
mod count;
mod data;
mod device;
mod early_stopping;
mod episode;
mod finding;
mod finetune;
mod memory;
mod method;
mod method_kind;
mod optimizer;
mod optimizer_state;
mod pretrain;
mod read_by;
mod report;
mod root;
mod rule;
mod rule_code;
mod schedule;
mod train;
mod vic;
mod weights;

pub use crate::network::Activations;
pub use augment::{Augment, Augmentation, Moments, Normalize, RandomResizedCrop};
pub use backbone::{Backbone, BackboneKind, BatchNormMode, Trunk};
pub use backprop::{Backprop, Sampling};
pub use byte_size::ByteSize;
pub use checkpoint::Checkpoint;
pub use count::{Between, Count};
pub use data::{Cache, Classes, Columns, Data, Format, OnBadImage, OtherData};
pub use device::DeviceSpec;
pub use early_stopping::EarlyStopping;
pub use episode::{Dirichlet, Episode, Episodes, OtherEpisode, QueryDistribution};
pub use finding::Finding;
pub use finetune::Finetune;
pub use memory::{AccumulationUnit, Allocator, Amp, LossScale, Memory, OnOom, Recompute};
pub use method::{
    Alignment, Attention, Classifier, Distance, Method, Prototypes, RelationLoss, Transform,
};
pub use method_kind::MethodKind;
pub use optimizer::{Optimizer, OptimizerKind};
pub use optimizer_state::{OptimizerState, STATE_BLOCK};
pub use pretrain::{ClassHead, Pretrain, TrainingPhase};
pub use read_by::{READ_BY, rule_of_unread};
pub use report::Report;
pub use root::{Pipeline, VERSION};
pub use rule::{Keys, Rule, Severity};
pub use schedule::{Schedule, ScheduleKind};
pub use train::{Test, Train, Validate};
pub use vic::{
    Covariance, CovarianceForm, Dynamic, DynamicDriver, Invariance, OnAttention, Variance, Vic,
    VicPreset,
};
pub use weights::{Weights, WeightsSource};
