//! Text → [`Pipeline`]. Never imports `burn`.
//!
//! `pipeline` says what a pipeline is, one element a file; `text` reads YAML and knows the place of
//! every value; `resolve` merges the layers, validates them and checks rules over several keys;
//! `tools` explains, renders, starts and migrates pipelines; `sweep` reads a grid of pipelines.

mod pipeline;
mod resolve;
mod sweep;
mod text;
mod tools;

pub use pipeline::{
    AccumulationUnit, Activations, Alignment, Allocator, Amp, Attention, Augment, Augmentation,
    Backbone, BackboneKind, Backprop, BatchNormMode, Between, ByteSize, Cache, Checkpoint,
    ClassHead, Classes, Classifier, Columns, Count, Covariance, CovarianceForm, Data, DeviceSpec,
    Dirichlet, Distance, Dynamic, DynamicDriver, EarlyStopping, Episode, Episodes, Finetune,
    Format, Invariance, LossScale, Memory, Method, MethodKind, Moments, Normalize, OnAttention,
    OnBadImage, OnOom, Optimizer, OptimizerKind, OptimizerState, OtherData, OtherEpisode, Pipeline,
    Pretrain, Prototypes, QueryDistribution, RandomResizedCrop, Recompute, RelationLoss, Report,
    STATE_BLOCK, Sampling, Schedule, ScheduleKind, Test, Train, TrainingPhase, Transform, Trunk,
    VERSION, Validate, Variance, Vic, VicPreset, Weights, WeightsSource,
};
pub use pipeline::{Keys, Rule, Severity};
pub use resolve::{
    check::check_files,
    load::{load, load_str},
    loaded::{Loaded, Origin},
    overrides::Overrides,
    schema::{FILE_NAME, schema, schema_text},
};
pub use sweep::{
    Cell, Compare, Published, ResolvedSweep, Rung, Search, SearchMethod, Sweep, is_sweep,
    load_sweep, rungs, sweep_schema, sweep_schema_text,
};
pub use text::{
    diagnostic::{Diagnostic, Diagnostics},
    report::DiagnosticReport,
    source::{Source, SourceKind, Span},
};
pub use tools::{
    edit::edit,
    explain::{explain, keys, overview},
    init::{Starter, init},
    migrate::{Migrated, Source as MigrateSource, migrate},
    reference::reference,
    render::{render, render_json},
};
