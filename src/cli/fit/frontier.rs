//! `fsct fit --frontier`

use std::path::PathBuf;

use serde::Serialize;

use crate::Error;
use crate::cli::listing::{Format, json};
use crate::cli::plan::{changes, environment};
use crate::cli::print::{errln, outln};
use crate::cli::run::select_device;
use crate::config::{Loaded, Pipeline};
use crate::plan::fit::{Setting, frontier};
use crate::report::frontier::{Point, picture};
use crate::report::table::bytes;
use crate::run::bench::measure;

/// How a frontier is listed.
#[derive(Debug, clap::Args)]
pub(super) struct Listing {
    /// Measure each setting on this machine, over this number of steps
    #[arg(long, requires = "frontier", value_name = "STEPS",
        value_parser = clap::value_parser!(u64).range(1..1000))]
    measure: Option<u64>,
    /// Draw the frontier into a file
    #[arg(long, requires = "frontier", value_name = "FILE.svg")]
    picture: Option<PathBuf>,
    /// Output format of the frontier
    #[arg(long, requires = "frontier", value_enum, default_value_t)]
    format: Format,
}

/// What a setting took on this machine.
#[derive(Debug, Clone, Copy, Serialize)]
struct Measured {
    peak_bytes: u64,
    seconds_per_step: f64,
}

/// A setting, as JSON.
#[derive(Debug, Serialize)]
struct Row {
    settings: String,
    /// The keys that differ from the pipeline's, YAML.
    changes: String,
    predicted_peak_bytes: u64,
    estimated_time: f64,
    rounds_more: bool,
    #[serde(flatten)]
    measured: Option<Measured>,
}

impl Listing {
    /// Prints the settings, and draws them.
    pub(super) fn run(
        &self,
        loaded: &Loaded,
        pipeline: &Pipeline,
        offline: bool,
    ) -> Result<(), Error> {
        let settings = frontier(pipeline, environment(pipeline, offline));
        let measured = self.measured(loaded, pipeline, &settings)?;
        let row = |(setting, measured): (&Setting, Option<Measured>)| Row {
            settings: setting.summary(pipeline),
            changes: changes(pipeline, setting),
            predicted_peak_bytes: setting.peak_bytes,
            estimated_time: setting.slowdown,
            rounds_more: setting.rounds(pipeline),
            measured,
        };
        let rows: Vec<Row> = settings.iter().zip(measured).map(row).collect();
        match self.format {
            Format::Text => outln!("{}", text(&rows))?,
            Format::Json => json(&rows)?,
        }
        if let Some(path) = &self.picture {
            let points: Vec<Point> = rows.iter().map(|row| row.point(&rows[0])).collect();
            let title = format!("{}: time for memory", pipeline.name);
            let svg = picture(&title, &points).map_err(|error| Error::failed(error.to_string()))?;
            crate::run::folder::write_atomically(path, svg.as_bytes())?;
            errln!("wrote {}", path.display());
        }
        Ok(())
    }

    /// What each setting took, where it was asked for.
    fn measured(
        &self,
        loaded: &Loaded,
        pipeline: &Pipeline,
        settings: &[Setting],
    ) -> Result<Vec<Option<Measured>>, Error> {
        let Some(steps) = self.measure else { return Ok(vec![None; settings.len()]) };
        let device = select_device(loaded)?;
        let mut plain = None;
        let mut measured = Vec::new();
        for (at, setting) in settings.iter().enumerate() {
            let name = setting.summary(pipeline);
            errln!("measuring {} of {}: {name}", at + 1, settings.len());
            let applied = setting.applied(pipeline);
            let named = (name, applied.memory.clone());
            let row = measure(&applied, named, &device, steps as usize, &mut plain)?;
            let (peak_bytes, seconds_per_step) = (row.peak_bytes, row.seconds_per_step);
            measured.push(Some(Measured { peak_bytes, seconds_per_step }));
        }
        Ok(measured)
    }
}

impl Row {
    fn point(&self, first: &Self) -> Point {
        let seconds = |row: &Self| row.measured.map(|it| it.seconds_per_step);
        let relative = seconds(self).zip(seconds(first)).map(|(own, first)| own / first);
        Point {
            label: self.settings.clone(),
            bytes: self.measured.map_or(self.predicted_peak_bytes, |it| it.peak_bytes),
            time: relative.unwrap_or(self.estimated_time),
            rounds: self.rounds_more,
        }
    }
}

fn text(rows: &[Row]) -> String {
    let is_measured = rows.iter().any(|row| row.measured.is_some());
    let measured = |peak: &str, seconds: &str| match is_measured {
        true => format!(" {peak:>11} {seconds:>8}"),
        false => String::new(),
    };
    let mut text =
        format!("{:>11} {:>7}{}  settings", "predicted", "time", measured("measured", "s/step"));
    for row in rows {
        let (peak, seconds) = row.measured.map_or_else(Default::default, |it| {
            (bytes(it.peak_bytes), format!("{:.3}", it.seconds_per_step))
        });
        text.push_str(&format!(
            "\n{:>11} {:>6.2}×{}  {}",
            bytes(row.predicted_peak_bytes),
            row.estimated_time,
            measured(&peak, &seconds),
            row.settings
        ));
    }
    text.push_str("\n\ntime: of a plain step, estimated");
    if is_measured {
        text.push_str("; measured: a step on random images, without the data set");
    }
    text
}
