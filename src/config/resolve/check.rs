//! Rules over several keys: what no single type can say.

use crate::config::{
    pipeline::{
        AccumulationUnit, Amp, BackboneKind, Checkpoint, CovarianceForm, DeviceSpec, Format,
        LossScale, MethodKind, Normalize, Trunk, WeightsSource,
    },
    resolve::{
        load::{Loaded, Origin, path_keys, pointer},
        schema::property,
        shape::plain,
    },
    text::diagnostic::{
        Diagnostic,
        DiagnosticKind::{Rule, Unwise},
    },
};

/// All rules, in the order of the file's keys.
pub fn check(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for rule in [
        data,
        transforms,
        backbone,
        trunk,
        weights,
        nothing_to_train,
        method,
        unread,
        accumulation,
        precision,
        cache,
        schedule,
        length,
    ] {
        rule(loaded, &mut diagnostics);
    }
    diagnostics
}

/// Paths that are not there; everything else is judged by the text alone.
pub fn check_files(loaded: &Loaded) -> Vec<Diagnostic> {
    // Synthetic glyphs are drawn into their folder, which is made for them.
    let drawn: Vec<&str> = sources(loaded)
        .into_iter()
        .filter(|(_, format, _)| *format == Some(Format::Synthetic))
        .map(|(key, ..)| key)
        .collect();
    path_keys()
        .iter()
        .filter(|key| !drawn.iter().any(|drawn| key.strip_suffix(".root") == Some(drawn)))
        .filter_map(|key| {
            let Origin::Written(span) = loaded.origin(key) else { return None };
            let value = loaded.path_value(key)?;
            let full = loaded.base_dir().join(&value);
            if full.exists() {
                return None;
            }
            let mut diagnostic = loaded.diagnostic_of(
                Rule("does_not_exist"),
                key,
                format!("`{key}: {}` does not exist", value.display()),
            );
            diagnostic.label = format!("looked at {}", full.display());
            let from =
                if span.source.is_shell() { "the current directory" } else { "the pipeline file" };
            Some(diagnostic.help(format!("correct the path; it is relative to {from}")))
        })
        .collect()
}

/// Every data set of a pipeline: its key, its layout, and whether its root is given.
fn sources(loaded: &Loaded) -> Vec<(&'static str, Option<Format>, bool)> {
    let pipeline = &loaded.pipeline;
    let others = [
        ("train.data", &pipeline.train.data),
        ("validate.data", &pipeline.validate.data),
        ("test.data", &pipeline.test.data),
    ];
    let own = ("data", pipeline.data.format, pipeline.data.root.is_some());
    let others = others
        .into_iter()
        .filter_map(|(key, it)| it.as_ref().map(|it| (key, it.format, it.root.is_some())));
    std::iter::once(own).chain(others).collect()
}

fn data(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    for (key, format, has_root) in sources(loaded) {
        if format == Some(Format::Synthetic) || has_root {
            continue;
        }
        let (message, at) = match format {
            Some(format) => (
                format!("`{key}.format: {}` needs `{key}.root`", format.word()),
                format!("{key}.format"),
            ),
            None => (format!("`{key}` names no data set"), format!("{key}.root")),
        };
        let mut diagnostic = loaded.diagnostic_of(Rule("missing"), &format!("{key}.root"), message);
        diagnostic.span = Some(loaded.nearest(&at));
        let help = match format {
            Some(_) => {
                format!("add `root:` with the folder, or give it as `--set {key}.root=…`")
            }
            None => "add `root:` with the folder, or write `format: synthetic`".to_owned(),
        };
        diagnostics.push(diagnostic.label("this format reads files").help(help));
    }
}

/// Numbers of transforms that do not fit each other.
fn transforms(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let data = &loaded.pipeline.data;
    if let Some(crop) = data.augment.steps().and_then(|steps| steps.random_resized_crop)
        && crop.min_scale > crop.max_scale
    {
        let key = "data.augment.random_resized_crop.min_scale";
        let message =
            format!("`{key}: {}` is above `max_scale: {}`", crop.min_scale, crop.max_scale);
        diagnostics.push(
            loaded
                .diagnostic_of(Rule("above_max"), key, message)
                .help("write the smaller number as `min_scale`".to_owned()),
        );
    }
    if let Normalize::Custom(moments) = &data.normalize {
        let channels = loaded.pipeline.backbone.kind.channels();
        let fits = |values: &[f64]| values.len() == 1 || values.len() == channels;
        for (name, values) in [("mean", &moments.mean), ("std", &moments.std)] {
            let key = format!("data.normalize.{name}");
            let positive = name == "mean" || values.iter().all(|value| *value > 0.0);
            if fits(values) && positive {
                continue;
            }
            let message = match positive {
                false => format!("`{key}` has a deviation that is not above 0"),
                true => format!(
                    "`{key}` has {} numbers for `backbone.kind: {}`",
                    values.len(),
                    word(&loaded.pipeline.backbone.kind)
                ),
            };
            diagnostics.push(
                loaded
                    .diagnostic_of(Rule("moments"), &key, message)
                    .help(format!("give one number, or {channels}: one a channel")),
            );
        }
    }
}

fn backbone(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let kind = loaded.pipeline.backbone.kind;
    let size = loaded.pipeline.data.image_size;
    let least = kind.min_image_size();
    if size < least {
        diagnostics.push(
            loaded
                .diagnostic_of(
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

fn trunk(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let backbone = &loaded.pipeline.backbone;
    let Some(trunk) = backbone.trunk else { return };
    let help = match (backbone.kind, trunk) {
        (BackboneKind::Resnet12, Trunk::Torchvision) => "write `trunk: feti`, or use `resnet18`",
        (kind, _) if !kind.is_resnet() => "remove it, or use a ResNet",
        _ => return,
    };
    let message =
        format!("`backbone.kind: {}` has no trunk `{}`", word(&backbone.kind), word(&trunk));
    diagnostics.push(
        loaded
            .diagnostic_of(Rule("no_such_trunk"), "backbone.trunk", message)
            .label("not for this backbone")
            .help(help.to_owned()),
    );
}

/// Weights of one architecture do not fit another.
fn weights(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let backbone = &loaded.pipeline.backbone;
    let Some(weights) = &backbone.weights else { return };
    let trunk = backbone.resolved_trunk();
    let (fits, help) = match weights.from {
        WeightsSource::Checkpoint => return,
        WeightsSource::Torchvision => (
            backbone.kind.is_resnet() && trunk == Trunk::Torchvision,
            "use `resnet18` or `resnet34` with the trunk `torchvision`, or other weights",
        ),
        WeightsSource::Feti => (
            backbone.kind.is_resnet() && trunk == Trunk::Feti,
            "use a ResNet with `trunk: feti`, or other weights",
        ),
    };
    if fits {
        return;
    }
    let own = match backbone.kind.is_resnet() {
        true => format!("{}` with the trunk `{}", word(&backbone.kind), word(&trunk)),
        false => word(&backbone.kind),
    };
    let message = format!(
        "`backbone.weights.from: {}` does not fit `backbone.kind: {own}`",
        word(&weights.from)
    );
    diagnostics.push(
        loaded
            .diagnostic_of(Rule("other_architecture"), "backbone.weights.from", message)
            .label("of another architecture")
            .help(help.to_owned()),
    );
}

/// Keys that only some choices of another key read: `(key, other key, choices)`.
pub(super) const READ_BY: &[(&str, &str, &[&str])] = &[
    ("data.splits", "data.format", &["folder", "omniglot", "cifar_fs"]),
    ("data.rotations", "data.format", &["omniglot"]),
    ("method.attention", "method.kind", &["fsct", "profoct", "ctx"]),
    ("method.depth", "method.kind", &["fsct", "profoct"]),
    ("method.heads", "method.kind", &["fsct", "profoct"]),
    ("method.dim_head", "method.kind", &["fsct", "profoct"]),
    ("method.mlp_dim", "method.kind", &["fsct", "profoct"]),
    ("method.classifier", "method.kind", &["fsct", "profoct"]),
    ("method.prototypes", "method.kind", &["fsct", "profoct"]),
    ("method.dim_attn", "method.kind", &["ctx"]),
    ("method.alignment", "method.kind", &["ctx"]),
    ("method.distance", "method.kind", &["protonet"]),
    ("optimizer.momentum", "optimizer.kind", &["sgd"]),
    ("optimizer.schedule.final_share", "optimizer.schedule.kind", &["cosine"]),
    ("optimizer.schedule.step_epochs", "optimizer.schedule.kind", &["step"]),
    ("optimizer.schedule.step_factor", "optimizer.schedule.kind", &["step"]),
];

/// A value that nothing reads. Defaults pass: a resolved pipeline has them all written out.
fn unread(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let pipeline = serde_json::to_value(&loaded.pipeline).unwrap_or_default();
    let value = |key: &str| pipeline.pointer(&pointer(key));
    for (key, by, choices) in READ_BY {
        let default = property(key).and_then(|schema| schema.get("default"));
        let (Some(value), Some(chosen)) = (value(key), value(by).and_then(|it| it.as_str())) else {
            continue;
        };
        if Some(value) == default || choices.contains(&chosen) {
            continue;
        }
        // A method of another kind is another model; a curve of another kind is a leftover.
        let kind = match by.starts_with("method") {
            true => Rule("not_of_this_method"),
            false => Unwise("unused"),
        };
        let message = format!("`{key}: {}` does nothing with `{by}: {chosen}`", plain(value));
        let own = by.rsplit('.').next().unwrap_or(by);
        let choices = choices.iter().map(|choice| format!("`{own}: {choice}`"));
        let choices = choices.collect::<Vec<_>>().join(" or ");
        diagnostics.push(
            loaded
                .diagnostic_of(kind, key, message)
                .label("not read")
                .help(format!("remove it, or write {choices}")),
        );
    }
}

/// A baseline without weights of its own needs a backbone that is trained.
fn nothing_to_train(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    if loaded.pipeline.method.kind == MethodKind::Protonet && !loaded.pipeline.backbone.train {
        diagnostics.push(
            loaded
                .diagnostic_of(
                    Rule("nothing_to_train"),
                    "backbone.train",
                    "`backbone.train: false` leaves `method.kind: protonet` nothing to train",
                )
                .help("remove it, or use a method with weights of its own".to_owned()),
        );
    }
}

fn method(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let method = &loaded.pipeline.method;
    let Some(vic) = &method.vic else { return };
    if method.kind != MethodKind::Profoct {
        let mut diagnostic = loaded.diagnostic_of(
            Rule("without_profoct"),
            "method.vic",
            format!("`method.vic` does not belong to `method.kind: {}`", word(&method.kind)),
        );
        diagnostic.span = Some(loaded.nearest("method.kind"));
        diagnostics.push(
            diagnostic
                .label("has no VIC terms")
                .help("write `kind: profoct`, or remove `vic`".to_owned()),
        );
        return;
    }
    if vic.covariance.form == CovarianceForm::Dense {
        diagnostics.push(
            loaded
                .diagnostic_of(
                    Unwise("dense"),
                    "method.vic.covariance.form",
                    "`method.vic.covariance.form: dense` builds matrices of features × features",
                )
                .label("2.35 GiB each at 25088 features")
                .help("write `gram`: it gives the same number from a small matrix".to_owned()),
        );
    }
    if loaded.pipeline.episode.k_shot == 1 && loaded.is_written("method.vic.invariance.weight") {
        diagnostics.push(
            loaded
                .diagnostic_of(
                    Unwise("one_shot"),
                    "method.vic.invariance.weight",
                    "`method.vic.invariance.weight` does nothing with `episode.k_shot: 1`",
                )
                .label("one shot is its own prototype")
                .help("remove it, or use more shots".to_owned()),
        );
    }
}

fn accumulation(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let steps = loaded.pipeline.memory.accumulation_steps;
    let episode = &loaded.pipeline.episode;
    let images = episode.n_way * (episode.k_shot + episode.n_query);
    match loaded.pipeline.memory.accumulation_unit {
        AccumulationUnit::Queries if steps > images => diagnostics.push(
            loaded
                .diagnostic_of(
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
            diagnostics.push(
                loaded
                    .diagnostic_of(
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
            diagnostics.push(
                loaded
                    .diagnostic_of(
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

fn precision(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let memory = &loaded.pipeline.memory;
    if let LossScale::Fixed(scale) = memory.loss_scale
        && memory.amp != Amp::F16
    {
        diagnostics.push(
            loaded
                .diagnostic_of(
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

fn cache(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let every = loaded.pipeline.memory.clear_cache_every;
    if loaded.pipeline.device == DeviceSpec::Cpu
        && every > 0
        && loaded.is_written("memory.clear_cache_every")
    {
        diagnostics.push(
            loaded
                .diagnostic_of(
                    Unwise("on_cpu"),
                    "memory.clear_cache_every",
                    format!("`memory.clear_cache_every: {every}` does nothing with `device: cpu`"),
                )
                .label("for devices that keep a cache")
                .help("remove it, or write `device: auto`".to_owned()),
        );
    }
}

fn schedule(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let pipeline = &loaded.pipeline;
    let warmup = pipeline.optimizer.schedule.warmup_steps;
    let episodes = pipeline.train.episodes_per_epoch;
    let window = match pipeline.memory.accumulation_unit {
        AccumulationUnit::Episodes => pipeline.memory.accumulation_steps,
        AccumulationUnit::Queries => 1,
    };
    let steps = pipeline.train.epochs * episodes.div_ceil(window);
    if warmup > 0 && warmup >= steps {
        diagnostics.push(
            loaded
                .diagnostic_of(
                    Unwise("never_ends"),
                    "optimizer.schedule.warmup_steps",
                    format!(
                        "`optimizer.schedule.warmup_steps: {warmup}` is not over after the {steps} \
                         steps of training"
                    ),
                )
                .label("the learning rate is never reached")
                .help("use a small part of the steps, or train longer".to_owned()),
        );
    }
}

fn length(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let pipeline = &loaded.pipeline;
    if pipeline.test.checkpoint == Checkpoint::Best
        && pipeline.validate.episodes == 0
        && loaded.is_written("test.checkpoint")
    {
        diagnostics.push(
            loaded
                .diagnostic_of(
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
