use crate::config::{MethodKind, Moments, Pipeline};

/// What both files say of themselves: how images must be read, and what the model was trained for.
///
/// `ink_is_dark` is whether images are drawings, whose dark ink is 1 to the network, if that is known; `temperature` what
/// logits are divided by before the softmax.
pub fn metadata(
    pipeline: &Pipeline,
    ink_is_dark: Option<bool>,
    temperature: Option<f64>,
) -> Vec<(String, String)> {
    let size = pipeline.data.image_size;
    let channels = pipeline.backbone.kind.channels();
    // One number stands for every channel.
    let each = |values: &[f64]| {
        let at = |channel: usize| values.get(channel).or(values.first());
        (0..channels).filter_map(at).map(f64::to_string).collect::<Vec<_>>().join(",")
    };
    let unit = Moments { mean: vec![0.0], std: vec![1.0] };
    let Moments { mean, std } = pipeline.data.normalize.moments().unwrap_or(unit);
    let invert = match ink_is_dark {
        Some(true) => "true",
        Some(false) => "false",
        None => "unknown",
    };
    let episode = pipeline.episode.largest();
    let tied = pipeline.method.is_tied_to_episode();
    let count = |count: usize| if tied { count.to_string() } else { "any".to_owned() };
    let mut entries = vec![
        ("pipeline", pipeline.name.clone()),
        ("image.size", size.to_string()),
        ("image.mode", if channels == 1 { "L" } else { "RGB" }.to_owned()),
        (
            "image.resize",
            format!(
                "short side to {size}, bilinear with antialiasing as Pillow's, then the central {size} x {size} pixels"
            ),
        ),
        ("image.invert", invert.to_owned()),
        ("image.mean", each(&mean)),
        ("image.std", each(&std)),
        (
            "image.values",
            "(byte / 255 - mean) / std by channel; where invert is true, the byte is 255 - byte first"
                .to_owned(),
        ),
        ("batch_norm", word(&pipeline.backbone.resolved_batch_norm())),
        ("method", method(pipeline)),
        ("n_way", count(episode.n_way)),
        ("k_shot", count(episode.k_shot)),
    ];
    if let Some(temperature) = temperature {
        entries.push(("temperature", temperature.to_string()));
    }
    entries.into_iter().map(|(key, value)| (format!("fsct.{key}"), value)).collect()
}

/// The method, with the choice that decides what it computes.
fn method(pipeline: &Pipeline) -> String {
    let method = &pipeline.method;
    let detail = match method.kind {
        MethodKind::Fsct | MethodKind::Profoct | MethodKind::Ctx => word(&method.attention),
        MethodKind::Protonet => word(&method.distance),
        MethodKind::Baseline | MethodKind::BaselinePlusPlus => return word(&method.kind),
    };
    format!("{} {detail}", word(&method.kind))
}

/// The word of a choice in a pipeline.
fn word(choice: &impl serde::Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
