//! What ProFOCT's VIC terms cost: one training step beside FSCT's, same backbone and episode.
//!
//! ```sh
//! cargo run --release --example profoct_cost              # ResNet18, 224 px, 5-way 5-shot 16-query
//! cargo run --release --example profoct_cost -- 84        # at another image size
//! ```

use std::time::Instant;

use burn::prelude::*;
use fsct::config::{Overrides, load_str};
use fsct::device::allocator::{current_bytes, peak_bytes, reset_peak};
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::stage::{Episode, StageState, StepContext};
use fsct::{graph, plan};

/// Steps of which the fastest counts.
const TRIES: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size: usize = std::env::args().nth(1).map_or(Ok(224), |text| text.parse())?;
    let mut first = None;
    for method in ["fsct", "profoct", "profoct, vic: {preset: reference}"] {
        let text = format!(
            "data: {{format: synthetic, image_size: {size}}}\nbackbone: {{kind: resnet18}}\n\
             episode: {{n_way: 5, k_shot: 5, n_query: 16}}\nmethod: {{kind: {method}}}\n"
        );
        let (bytes, seconds) = step(&text)?;
        let (of_bytes, of_seconds) = *first.get_or_insert((bytes, seconds));
        println!(
            "{method:34} peak {:8.1} MiB ({:.3} ×)  {seconds:6.2} s ({:.3} ×)",
            bytes as f64 / f64::from(1 << 20),
            bytes as f64 / of_bytes as f64,
            seconds / of_seconds,
        );
    }
    Ok(())
}

/// Peak bytes and least seconds of one step.
fn step(pipeline: &str) -> Result<(usize, f64), Box<dyn std::error::Error>> {
    let pipeline = load_str("example", pipeline, &Overrides::default())?.pipeline;
    let shape = EpisodeShape::from(pipeline.episode);
    let size = pipeline.data.image_size;
    let device = Device::flex();
    let before = current_bytes();
    let net = FewShotNet::new(&plan::network(&pipeline), 1, &device.clone().autodiff());
    let plan = plan::compile(&pipeline);
    let mut built = graph::build(&plan, &device);
    let values = (0..shape.images() * 3 * size * size).map(|it| (it as f32 * 0.37).sin());
    let values: Vec<f32> = values.collect();
    let images = TensorData::new(values, [shape.images(), 3, size, size]);
    let images = Tensor::<4>::from_data(images, &device);
    let (mut peak, mut seconds) = (0, f64::INFINITY);
    for _ in 0..TRIES {
        reset_peak();
        let mut state = StageState::default();
        let mut cx = StepContext::new(&mut state);
        let start = Instant::now();
        let window = vec![Episode { images: images.clone(), shape, labels: None }];
        built.step.grads(&net, window, &mut cx)?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
        peak = peak_bytes().saturating_sub(before);
    }
    Ok((peak, seconds))
}
