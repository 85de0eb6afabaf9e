//! Trains a pipeline from a program of your own, with a reporter of your own.
//!
//! ```sh
//! cargo run --release --example train
//! ```

use std::path::Path;

use fsct::config::{Overrides, load_str};
use fsct::data;
use fsct::run::events::{Event, Reporter};
use fsct::run::trainer::{Place, Start};
use fsct::run::{Interrupt, RunError, experiment};
use fsct::{device, plan};

const PIPELINE: &str = "
name: example
data: {format: synthetic, image_size: 28}
episode: {n_way: 5, k_shot: 1, n_query: 5}
backbone: {kind: conv4s}
method: {kind: fsct, heads: 4, dim_head: 16, mlp_dim: 64}
train: {epochs: 1, episodes_per_epoch: 20}
validate: {episodes: 0}
test: {episodes: 50}
";

/// Prints the loss of every fifth step.
struct EveryFifth;

impl Reporter for EveryFifth {
    fn report(&mut self, event: &Event) -> Result<(), RunError> {
        if let Event::Step(step) = event
            && step.step.is_multiple_of(5)
        {
            println!("step {}: loss {:.3}", step.step, step.terms.loss);
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pipeline = load_str("example", PIPELINE, &Overrides::default())?.pipeline;
    let plan = plan::compile(&pipeline);
    let device = device::select(pipeline.device, pipeline.memory.allocator)?;
    let data = data::open(&pipeline, Path::new("."))?;
    let runs = std::env::temp_dir().join("fsct-example");
    let folder = experiment::prepare(&data, &pipeline, &runs, None)?;
    let interrupt = Interrupt::default();
    let place = Place { data: &data, device: &device, folder: &folder, interrupt: &interrupt };
    let metrics = experiment::run(&plan, place, Start::New, &mut EveryFifth)?;
    if let Some(novel) = metrics.result.novel {
        println!("novel accuracy: {novel}");
    }
    Ok(())
}
