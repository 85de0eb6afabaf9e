//! `fsct bench`

use super::PipelineArgs;
use super::listing::{Format, json};
use super::run::select_device;
use crate::Error;
use crate::cli::print::outln;
use crate::report::bytes;
use crate::run::bench::{Row, measure, settings};

/// Measure a pipeline's step with each memory stage off and on
#[derive(Debug, clap::Args)]
pub struct Bench {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Number of measured steps per setting
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..10_000))]
    steps: u64,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Bench {
    /// Measures each setting and prints the rows.
    pub fn run(self) -> Result<(), Error> {
        let loaded = self.pipeline.load()?;
        let pipeline = loaded.absolute();
        let device = select_device(&loaded)?;
        if self.format == Format::Text {
            outln!(
                "{} on {}: one episode of random images a step, {} steps each\n\n{:<34} {:>11} \
                 {:>11} {:>11} {:>10} {:>10} {:>11} {:>9}",
                pipeline.name,
                device.name,
                self.steps,
                "stages",
                "peak",
                "predicted",
                "activations",
                "s/step",
                "images/s",
                "gradients",
                "norm",
            )?;
        }
        let mut rows: Vec<Row> = Vec::new();
        let mut plain = None;
        for setting in settings(&pipeline, device.kind()) {
            let row = measure(&pipeline, setting, &device, self.steps as usize, &mut plain)?;
            if self.format == Format::Text {
                outln!(
                    "{:<34} {:>11} {:>11} {:>11} {:>10.3} {:>10.1} {:>11.1e} {:>9.1e}",
                    row.stages,
                    bytes(row.peak_bytes),
                    bytes(row.predicted_peak_bytes),
                    bytes(row.activation_bytes),
                    row.seconds_per_step,
                    row.images_per_second,
                    row.max_gradient_difference,
                    row.gradient_difference_norm,
                )?;
            }
            rows.push(row);
        }
        match self.format {
            Format::Json => json(&rows)?,
            Format::Text => outln!(
                "\ngradients: largest difference to the plain step's, against the largest value of that \
                 gradient\nnorm: norm of the difference over all gradients, against the norm of the \
                 plain step's"
            )?,
        }
        Ok(())
    }
}
