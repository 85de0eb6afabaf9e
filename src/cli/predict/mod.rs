//! `fsct predict`: classify images of one's own.

mod copy;
mod inputs;
mod sheet;
mod write;

use std::path::PathBuf;

use clap::Args;

use super::Output;
use super::model::Model;
use super::run::located;
use crate::Error;
use crate::cli::print::{errln, out};
use crate::data::{Item, ItemFile};
use crate::run::predict::{Predictor, Support};

use copy::{Copied, copy};
use sheet::Sheet;
use write::{Format, Writer};

/// Classify your own images with a trained model
///
/// The classes are the folders in --support, each with a few example images. One line per image is printed:
/// its file, its class with the probability, and the runner-up.
///
/// Exit code 1 when an image cannot be read or copied; all others are still classified.
#[derive(Debug, Args)]
pub struct Predict {
    /// A run folder (its best checkpoint is used, or the last one if there is no best) or a
    /// checkpoint file
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    pub run: PathBuf,
    /// Images to classify: files, folders, patterns, or `-` for paths on standard input, one per line
    #[arg(required_unless_present = "save_support", value_name = "IMAGES")]
    pub images: Vec<PathBuf>,
    /// Folder with a folder of example images for each class, or a file that --save-support wrote
    #[arg(long, value_name = "DIR")]
    pub support: PathBuf,
    /// Write the embedded examples to a file, which --support of the same model takes in place of the
    /// folder. No images need to be given
    #[arg(long, value_name = "OUT.fsct")]
    pub save_support: Option<PathBuf>,
    /// Format of the output
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Number of classes to print for each image, the most probable first
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = count)]
    pub top: usize,
    /// Print "none of these" when the most probable class is below this probability (0 to 1)
    #[arg(long, value_name = "P", default_value_t = 0.0, hide_default_value = true, value_parser = probability)]
    pub reject: f64,
    /// Copy each image into DIR/CLASS/. Files that are there are never replaced, and rejected images are
    /// not copied
    #[arg(long, visible_alias = "move-into", value_name = "DIR")]
    pub copy_into: Option<PathBuf>,
    /// Write a contact sheet as PNG: the first 500 images that can be read, by class, with their labels
    #[arg(long, value_name = "OUT.png")]
    pub sheet: Option<PathBuf>,
    /// Set a value of the pipeline, say `device=cpu` or `data.root=…`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// What became of the images.
#[derive(Default)]
struct Counts {
    classified: usize,
    rejected: usize,
    unreadable: usize,
    not_copied: usize,
}

impl Predict {
    /// Classifies the images and prints a line for each.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let model = Model::open(&self.run, &self.set)?;
        let pipeline = model.loaded.absolute();
        let predictor = Predictor::new(&model.checkpoint, &model.trained, pipeline)?;
        let support =
            predictor.support(&self.support).map_err(|error| located(error, &model.loaded))?;
        if !output.quiet {
            support.notes().iter().for_each(|note| errln!("note: {note}"));
            if predictor.temperature().is_none() {
                errln!(
                    "note: the probabilities are not calibrated: the checkpoint has no temperature \
                     (its run had no validation, or it was imported or written by an older fsct)"
                );
            }
        }
        if let Some(path) = &self.save_support {
            predictor.save_support(&support, path)?;
            if !output.quiet {
                errln!("wrote {}", path.display());
            }
            if self.images.is_empty() {
                return Ok(());
            }
        }
        let counts = self.classify(&predictor, &support)?;
        if !output.quiet {
            errln!("{}", counts.summary(self.reject));
        }
        match counts.unreadable + counts.not_copied {
            0 => Ok(()),
            _ => Err(Error::Rejected),
        }
    }

    fn classify(&self, predictor: &Predictor, support: &Support) -> Result<Counts, Error> {
        let images = inputs::images(&self.images)?;
        let Self { format, top, reject, .. } = *self;
        let writer = Writer { format, classes: support.classes(), top, reject };
        let mut counts = Counts::default();
        let mut sheet = Sheet::default();
        out!("{}", writer.header())?;
        let items = images.clone();
        predictor.predict(support, items, &mut |number, prediction| {
            let Item { name, file, .. } = &images[number];
            let prediction = match prediction {
                Ok(prediction) => prediction,
                Err(error) => {
                    counts.unreadable += 1;
                    return match writer.unreadable(name, &error) {
                        Some(line) => out!("{line}"),
                        None => {
                            errln!("skipped: {error}");
                            Ok(())
                        }
                    };
                }
            };
            let class = writer.class(&prediction);
            *if class.is_some() { &mut counts.classified } else { &mut counts.rejected } += 1;
            if let (Some(class), Some(root), ItemFile::Path(path)) = (class, &self.copy_into, file)
                && let Copied::Taken(target) = copy(path, root, class)?
            {
                counts.not_copied += 1;
                errln!("not copied: {name}: {} is another image", target.display());
            }
            if self.sheet.is_some() {
                let best = prediction.best();
                sheet.add(&images[number], (best.class, class), best.probability);
            }
            out!("{}", writer.line(name, &prediction))
        })?;
        if let Some(path) = &self.sheet {
            let left_out = sheet.write(path)?;
            if left_out > 0 {
                errln!("note: {} does not show the last {left_out} images", path.display());
            }
        }
        Ok(counts)
    }
}

impl Counts {
    fn summary(&self, reject: f64) -> String {
        let Self { classified, rejected, unreadable, not_copied } = self;
        let images = if *classified == 1 { "image" } else { "images" };
        let mut text = format!("{classified} {images} classified");
        for (count, what) in [
            (rejected, format!("below {reject}")),
            (unreadable, "skipped: not images that can be read".to_owned()),
            (not_copied, "not copied: the name is taken".to_owned()),
        ] {
            if *count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text
    }
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|_| "a whole number is needed".to_owned())?;
    if count > 0 { Ok(count) } else { Err("at least 1 is needed".into()) }
}

fn probability(text: &str) -> Result<f64, String> {
    let probability: f64 = text.parse().map_err(|_| "a number is needed".to_owned())?;
    match (0.0..=1.0).contains(&probability) {
        true => Ok(probability),
        false => Err("a probability is from 0 to 1".into()),
    }
}
