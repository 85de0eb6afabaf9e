//! Backbone and method.

use super::{
    command_line::{CommandLine, Source},
    number,
};
use crate::config::tools::draft::Draft;

pub(super) fn backbone(line: &mut CommandLine, draft: &mut Draft) {
    let (backbone, from) = line.get("backbone");
    let mut kind = backbone.unwrap_or_default().to_lowercase();
    if line.of_characters() {
        // The reference exchanges these for the variant that reads one channel and pools twice.
        kind = match kind.as_str() {
            "conv4" | "conv4s" => "conv4snp".into(),
            "conv6" | "conv6s" => "conv6snp".into(),
            _ => kind,
        };
    }
    if !kind.starts_with("resnet") {
        draft.set("backbone.kind", kind, "", &from);
        if line.is_on("FETI") {
            line.note(
                "--FETI 1 is left out: only ResNets have FETI weights, and train_test.py ignores it too",
            );
        }
        return;
    }
    if line.is_on("FETI") {
        let feti = line.get("FETI").1;
        draft.set("backbone.kind", kind, "", &from);
        draft.set("backbone.trunk", "feti", "", &feti);
        draft.set("backbone.weights.from", "feti", "", &feti);
        draft.set(
            "backbone.weights.path",
            "checkpoint_models/Pretrained_ResNet_FETI.pt.tar",
            "the reference's file",
            &feti,
        );
        line.note(
            "train_test.py loads the FETI file without checking that it has every tensor; fsct stops where one is \
             missing: name those in `backbone.weights.allow_missing` to start them at random",
        );
        return;
    }
    if kind == "resnet12" {
        kind = "resnet18".into();
        line.note("train_test.py has no ResNet12 without --FETI 1, and takes ResNet18");
    }
    let weights = format!("the ImageNet weights of {kind}");
    draft.set("backbone.kind", kind.as_str(), "", &from);
    if line.source() == Source::Original {
        let why = "the published code's ImageNet ResNet";
        draft.set("backbone.train", false, "the published code never trains it", why);
        draft.set("backbone.batch_norm", "episode", "nor calls eval() on it", why);
    } else {
        let why = "the fork's ImageNet ResNet";
        draft.set("backbone.train", true, "the fork does", why);
        draft.set("backbone.batch_norm", "running", "", why);
    }
    draft.set("backbone.weights.from", "torchvision", "", &weights);
    draft.set(
        "backbone.weights.path",
        format!("weights/{kind}.pth"),
        "the downloaded weights",
        &weights,
    );
}

pub(super) fn method(line: &mut CommandLine, draft: &mut Draft) {
    let (method, from) = line.get("method");
    let method = method.unwrap_or_default().to_lowercase();
    let (kind, attention) = method.rsplit_once('_').unwrap_or((&method, "cosine"));
    let (kind, attention) = if attention == "profonet" {
        line.note(
            "--method FSCT_ProFONet is an earlier method of the fork; ProFOCT, which took its place, is the \
             closest that there is",
        );
        ("profoct", "cosine")
    } else {
        (kind, attention)
    };
    draft.set("method.kind", kind, "", &from);
    draft.set("method.attention", attention, "", &from);
    if kind == "profoct" {
        vic(line, draft, &from);
    } else {
        for (flag, value) in line.given() {
            if VIC.iter().any(|(name, ..)| *name == flag) {
                line.note(format!("--{flag} {value} is left out: only ProFOCT has VIC terms"));
            }
        }
    }
    if line.is_given("distance_metric") {
        let from = line.get("distance_metric").1;
        line.note(format!("{from} is left out: train_test.py stores it and never uses it"));
    }
}

/// Flags of the VIC terms, their keys, and whether they are switches; in the order of the schema.
const VIC: &[(&str, &str, bool)] = &[
    ("vic_alpha", "method.vic.variance.weight", false),
    ("vic_beta", "method.vic.invariance.weight", false),
    ("vic_gamma", "method.vic.covariance.weight", false),
    ("dynamic_vic", "method.vic.dynamic.enabled", true),
    ("vic_ema_decay", "method.vic.dynamic.ema_decay", false),
    ("use_vic_on_attention", "method.vic.on_attention.enabled", true),
    ("vic_attention_scale", "method.vic.on_attention.scale", false),
];

fn vic(line: &mut CommandLine, draft: &mut Draft, from: &str) {
    draft.set("method.vic.preset", "reference", "the numbers of train_test.py", from);
    for (flag, key, is_switch) in VIC {
        let (Some(value), from) = line.get(flag) else { continue };
        let value = if *is_switch { line.is_on(flag).into() } else { number(value) };
        draft.set(key, value, "", &from);
    }
    line.note(
        "with `preset: reference` only the covariance term acts, as in train_test.py; remove the preset for \
         terms that all do something",
    );
}
