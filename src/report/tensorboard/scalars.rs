use crate::run::events::{Event, Step};

const MIB: f64 = (1u64 << 20) as f64;

/// The numbers of an event, by their tags.
pub(super) fn scalars(event: &Event) -> Vec<(&'static str, f64)> {
    match event {
        Event::Step(step) => of_step(step),
        Event::Epoch(epoch) => vec![
            ("epoch/number", epoch.epoch as f64),
            ("epoch/loss", epoch.loss),
            ("epoch/accuracy", epoch.accuracy),
        ],
        Event::Validated(it) => {
            let mut found = vec![
                ("validation/accuracy", it.accuracy.mean),
                ("validation/ci95", it.accuracy.ci95),
            ];
            found.extend(it.temperature.map(|value| ("validation/temperature", value)));
            found
        }
        Event::PretrainStep(step) => vec![
            ("pretraining/loss", step.terms.loss),
            ("pretraining/accuracy", step.terms.accuracy),
            ("pretraining/learning_rate", step.learning_rate),
            ("pretraining/gradient_norm", step.gradient_norm),
            ("pretraining/current_mib", step.memory.current_bytes as f64 / MIB),
            ("pretraining/images_per_second", step.images_per_second),
        ],
        Event::PretrainValidated(it) => vec![
            ("pretraining/validation_accuracy", it.accuracy.mean),
            ("pretraining/validation_ci95", it.accuracy.ci95),
        ],
        Event::PeakDiffers { predicted_peak_bytes, .. }
        | Event::Escalated { predicted_peak_bytes, .. } => {
            vec![("memory/predicted_peak_mib", *predicted_peak_bytes as f64 / MIB)]
        }
        Event::Finished(it) => {
            let (result, cost) = (&it.metrics.result, &it.metrics.cost);
            let mut found = vec![("cost/seconds", cost.seconds)];
            if cost.predicted_peak_bytes > 0 {
                let predicted = cost.predicted_peak_bytes as f64 / MIB;
                found.push(("memory/predicted_peak_mib", predicted));
            }
            if let Some(novel) = &result.novel {
                found.extend([("test/accuracy", novel.mean), ("test/ci95", novel.ci95)]);
            }
            found
        }
        _ => Vec::new(),
    }
}

fn of_step(step: &Step) -> Vec<(&'static str, f64)> {
    let mut found = vec![
        ("train/loss", step.terms.loss),
        ("train/cross_entropy", step.terms.cross_entropy),
        ("train/accuracy", step.terms.accuracy),
        ("train/learning_rate", step.learning_rate),
        ("train/gradient_norm", step.gradient_norm),
        ("train/skipped_steps", step.skipped_steps as f64),
        ("memory/current_mib", step.memory.current_bytes as f64 / MIB),
        ("memory/peak_mib", step.memory.peak_bytes as f64 / MIB),
        ("speed/images_per_second", step.images_per_second),
        ("speed/loader_share", step.loader_share),
    ];
    found.extend(step.terms.contrast.map(|value| ("train/contrast", value)));
    if let Some(vic) = &step.terms.vic {
        found.extend([
            ("vic/variance", vic.variance),
            ("vic/invariance", vic.invariance),
            ("vic/covariance", vic.covariance),
            ("vic/alpha", vic.weights.alpha),
            ("vic/beta", vic.weights.beta),
            ("vic/gamma", vic.weights.gamma),
        ]);
    }
    let scale = step.state.loss_scale.map(|scaler| ("train/loss_scale", scaler.scale));
    let reserved =
        step.memory.reserved_bytes.map(|bytes| ("memory/reserved_mib", bytes as f64 / MIB));
    found.extend(scale.into_iter().chain(reserved));
    found
}
