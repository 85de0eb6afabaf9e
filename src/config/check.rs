//! Rules over several keys: what no single type can say.

use super::{
    AccumulationUnit, Amp, Attention, BackboneKind, Checkpoint, Classifier, CovarianceForm,
    DeviceSpec, Distance, Format, LossScale, MethodKind, OptimizerKind, Prototypes, Trunk,
    fault::{
        Fault,
        FaultKind::{Rule, Unwise},
    },
    load::{Loaded, Origin, path_keys},
};

/// All rules, in the order of the file's keys.
pub fn check(loaded: &Loaded) -> Vec<Fault> {
    let mut faults = Vec::new();
    for rule in [
        data,
        backbone,
        trunk,
        method,
        belonging,
        accumulation,
        precision,
        cache,
        optimizer,
        length,
    ] {
        rule(loaded, &mut faults);
    }
    faults
}

/// Paths that are not there; everything else is judged by the text alone.
pub fn check_files(loaded: &Loaded) -> Vec<Fault> {
    // Synthetic glyphs are drawn into their folder, which is made for them.
    let drawn = loaded.pipeline.data.format == Format::Synthetic;
    path_keys()
        .iter()
        .filter(|key| !(drawn && key.as_str() == "data.root"))
        .filter_map(|key| {
            let Origin::Written(span) = loaded.origin(key) else { return None };
            let value = loaded.path_value(key)?;
            let full = loaded.base_dir().join(&value);
            if full.exists() {
                return None;
            }
            let mut fault = loaded.fault_of(
                Rule("does_not_exist"),
                key,
                format!("`{key}: {}` does not exist", value.display()),
            );
            fault.label = format!("looked at {}", full.display());
            let from =
                if span.source.is_shell() { "the current directory" } else { "the pipeline file" };
            Some(fault.help(format!("correct the path; it is relative to {from}")))
        })
        .collect()
}

fn data(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let data = &loaded.pipeline.data;
    if data.format == Format::Synthetic || data.root.is_some() {
        return;
    }
    let mut fault = loaded.fault_of(
        Rule("missing"),
        "data.root",
        format!("`data.format: {}` needs `data.root`", word(&data.format)),
    );
    fault.span = Some(loaded.nearest("data.format"));
    faults.push(
        fault.label("this format reads files").help(
            "add `root:` with the folder, or give it as `--set data.root=…` or `FSCT_DATA__ROOT`"
                .to_owned(),
        ),
    );
}

fn backbone(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let kind = loaded.pipeline.backbone.kind;
    let size = loaded.pipeline.data.image_size;
    let least = kind.min_image_size();
    if size < least {
        faults.push(
            loaded
                .fault_of(
                    Rule("too_small"),
                    "data.image_size",
                    format!(
                        "`data.image_size: {size}` leaves `backbone.kind: {}` no pixel",
                        word(&kind)
                    ),
                )
                .help(format!("use {least} px or more")),
        );
    }
}

fn trunk(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let backbone = &loaded.pipeline.backbone;
    let Some(trunk) = backbone.trunk else { return };
    let help = match (backbone.kind, trunk) {
        (BackboneKind::Resnet12, Trunk::Torchvision) => "write `trunk: feti`, or use `resnet18`",
        (kind, _) if !kind.is_resnet() => "remove it, or use a ResNet",
        _ => return,
    };
    let message =
        format!("`backbone.kind: {}` has no trunk `{}`", word(&backbone.kind), word(&trunk));
    faults.push(
        loaded.fault_of(Rule("no_such_trunk"), "backbone.trunk", message).help(help.to_owned()),
    );
}

/// Keys that only some methods read.
fn belonging(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let method = &loaded.pipeline.method;
    let transformer = matches!(method.kind, MethodKind::Fsct | MethodKind::Profoct);
    let mut wants = |holds: bool, key: &str, value: String, kinds: &str| {
        if !holds {
            let message = format!(
                "`{key}: {value}` does not belong to `method.kind: {}`",
                word(&method.kind)
            );
            faults.push(
                loaded
                    .fault_of(Rule("not_of_this_method"), key, message)
                    .help(format!("remove it, or write `kind: {kinds}`")),
            );
        }
    };
    wants(
        method.kind == MethodKind::Protonet || method.distance == Distance::Euclidean,
        "method.distance",
        word(&method.distance),
        "protonet",
    );
    wants(
        transformer || method.prototypes == Prototypes::PerWay,
        "method.prototypes",
        word(&method.prototypes),
        "fsct",
    );
    wants(
        transformer || method.classifier == Classifier::Reference,
        "method.classifier",
        word(&method.classifier),
        "fsct",
    );
    wants(
        method.kind != MethodKind::Protonet || method.attention == Attention::Cosine,
        "method.attention",
        word(&method.attention),
        "fsct",
    );
    if method.kind == MethodKind::Protonet && !loaded.pipeline.backbone.train {
        faults.push(
            loaded
                .fault_of(
                    Rule("nothing_to_train"),
                    "backbone.train",
                    "`backbone.train: false` leaves `method.kind: protonet` nothing to train",
                )
                .help("remove it, or use a method with weights of its own".to_owned()),
        );
    }
}

fn method(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let method = &loaded.pipeline.method;
    let Some(vic) = &method.vic else { return };
    if method.kind != MethodKind::Profoct {
        let mut fault = loaded.fault_of(
            Rule("without_profoct"),
            "method.vic",
            format!("`method.vic` does not belong to `method.kind: {}`", word(&method.kind)),
        );
        fault.span = Some(loaded.nearest("method.kind"));
        faults.push(
            fault
                .label("has no VIC terms")
                .help("write `kind: profoct`, or remove `vic`".to_owned()),
        );
        return;
    }
    if vic.covariance.form == CovarianceForm::Dense {
        faults.push(
            loaded
                .fault_of(
                    Unwise("dense"),
                    "method.vic.covariance.form",
                    "`method.vic.covariance.form: dense` builds matrices of features × features",
                )
                .label("2.35 GiB each at 25088 features")
                .help("write `gram`: it gives the same number from a small matrix".to_owned()),
        );
    }
    if loaded.pipeline.episode.k_shot == 1 && loaded.is_written("method.vic.invariance.weight") {
        faults.push(
            loaded
                .fault_of(
                    Unwise("one_shot"),
                    "method.vic.invariance.weight",
                    "`method.vic.invariance.weight` does nothing with `episode.k_shot: 1`",
                )
                .label("one shot is its own prototype")
                .help("remove it, or use more shots".to_owned()),
        );
    }
}

fn accumulation(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let steps = loaded.pipeline.memory.accumulation_steps;
    let episode = &loaded.pipeline.episode;
    let images = episode.n_way * (episode.k_shot + episode.n_query);
    match loaded.pipeline.memory.accumulation_unit {
        AccumulationUnit::Queries if steps > images => faults.push(
            loaded
                .fault_of(
                    Rule("too_many"),
                    "memory.accumulation_steps",
                    format!(
                        "`memory.accumulation_steps: {steps}` splits an episode of {images} images"
                    ),
                )
                .help(format!("use at most {images}, one image a micro-batch")),
        ),
        AccumulationUnit::Episodes
            if steps > 1 && !loaded.is_written("memory.accumulation_unit") =>
        {
            faults.push(
                loaded
                    .fault_of(
                        Unwise("same_peak"),
                        "memory.accumulation_steps",
                        format!("`memory.accumulation_steps: {steps}` over whole episodes does not lower the peak"),
                    )
                    .label("episodes a step")
                    .help(
                        "write `accumulation_unit: queries` for a lower peak, or `episodes` to say that a larger batch is meant"
                            .to_owned(),
                    ),
            );
        }
        AccumulationUnit::Episodes if steps > loaded.pipeline.train.episodes_per_epoch => {
            let episodes = loaded.pipeline.train.episodes_per_epoch;
            faults.push(
                loaded
                    .fault_of(
                        Unwise("one_step"),
                        "memory.accumulation_steps",
                        format!("`memory.accumulation_steps: {steps}` is more than the {episodes} episodes of an epoch"),
                    )
                    .label("one optimizer step an epoch")
                    .help(format!("use at most {episodes}")),
            );
        }
        _ => {}
    }
}

fn precision(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let memory = &loaded.pipeline.memory;
    if let LossScale::Fixed(scale) = memory.loss_scale
        && memory.amp != Amp::F16
    {
        faults.push(
            loaded
                .fault_of(
                    Unwise("unused"),
                    "memory.loss_scale",
                    format!(
                        "`memory.loss_scale: {scale}` does nothing with `memory.amp: {}`",
                        word(&memory.amp)
                    ),
                )
                .label("for f16 gradients only")
                .help("remove it, or write `amp: f16`".to_owned()),
        );
    }
}

fn cache(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let every = loaded.pipeline.memory.clear_cache_every;
    if loaded.pipeline.device == DeviceSpec::Cpu
        && every > 0
        && loaded.is_written("memory.clear_cache_every")
    {
        faults.push(
            loaded
                .fault_of(
                    Unwise("on_cpu"),
                    "memory.clear_cache_every",
                    format!("`memory.clear_cache_every: {every}` does nothing with `device: cpu`"),
                )
                .label("for devices that keep a cache")
                .help("remove it, or write `device: auto`".to_owned()),
        );
    }
}

fn optimizer(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let optimizer = &loaded.pipeline.optimizer;
    if optimizer.kind != OptimizerKind::Sgd && loaded.is_written("optimizer.momentum") {
        faults.push(
            loaded
                .fault_of(
                    Unwise("unused"),
                    "optimizer.momentum",
                    format!(
                        "`optimizer.momentum` does nothing with `optimizer.kind: {}`",
                        word(&optimizer.kind)
                    ),
                )
                .label("for `sgd` only")
                .help("remove it, or write `kind: sgd`".to_owned()),
        );
    }
}

fn length(loaded: &Loaded, faults: &mut Vec<Fault>) {
    let pipeline = &loaded.pipeline;
    if pipeline.test.checkpoint == Checkpoint::Best
        && pipeline.validate.episodes == 0
        && loaded.is_written("test.checkpoint")
    {
        faults.push(
            loaded
                .fault_of(
                    Unwise("no_validation"),
                    "test.checkpoint",
                    "`test.checkpoint: best` needs validation, and `validate.episodes` is 0",
                )
                .label("none is the best")
                .help("write `checkpoint: last`, or give `validate.episodes` a number".to_owned()),
        );
    }
}

/// A choice as it is written in YAML.
fn word(choice: &impl serde::Serialize) -> String {
    serde_json::to_value(choice)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
