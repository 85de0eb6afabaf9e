//! The examples of each class, embedded once.

use std::path::Path;

use burn::prelude::*;

use super::{Predictor, RunError};
use crate::data::{DataError, ImageSet};
use crate::model::EpisodeShape;
use crate::network::BatchNormMode;

/// Classes that images are assigned to, with their embedded examples.
#[derive(Debug)]
pub struct Support {
    pub(super) classes: Vec<String>,
    /// Examples of each class that are used, by class.
    pub(super) counts: Vec<usize>,
    /// Classes have different numbers of examples, and each is replaced by the mean of its own.
    pub(super) means: bool,
    pub(super) rows: Rows,
    pub(super) notes: Vec<String>,
}

/// What is kept of the examples.
#[derive(Debug)]
pub(super) enum Rows {
    /// Features as the head reads them.
    Features(Tensor<4>),
    /// Images that are embedded with each image to classify, on the statistics of both.
    Images(Tensor<4>),
}

impl Support {
    /// Embeds the images of `set`, which are those of the folder `root`.
    pub(super) fn of(
        predictor: &Predictor,
        set: &ImageSet,
        root: &Path,
        mut notes: Vec<String>,
    ) -> Result<Self, RunError> {
        let classes: Vec<String> = set.classes().iter().map(|it| it.name.clone()).collect();
        let found: Vec<usize> = set.classes().iter().map(|it| it.images.len()).collect();
        if classes.len() < 2 {
            return Err(too_few(&classes, root));
        }
        let (counts, means) = used(predictor, &classes, &found, root)?;
        for ((class, used), found) in classes.iter().zip(&counts).zip(&found) {
            if used < found {
                notes.push(format!(
                    "of class `{class}` the first {used} of {found} images are used"
                ));
            }
        }
        let images: Vec<usize> = set
            .classes()
            .iter()
            .zip(&counts)
            .flat_map(|(class, count)| class.images.iter().take(*count).copied())
            .collect();
        let tensors = |images: &[usize]| -> Result<Tensor<4>, DataError> {
            Ok(predictor.images(set.read_all(images, |_| None)?, images.len(), set))
        };
        let rows = if predictor.norm == BatchNormMode::Episode {
            Rows::Images(tensors(&images)?)
        } else {
            let chunks = images.chunks(predictor.pipeline.images_at_once());
            let features: Result<Vec<_>, DataError> =
                chunks.map(|chunk| Ok(predictor.embed(tensors(chunk)?))).collect();
            Rows::Features(reduced(Tensor::cat(features?, 0), &counts, means))
        };
        Ok(Self { classes, counts, means, rows, notes })
    }

    /// Names of the classes, in the order of the names.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of examples of each class that are used.
    pub fn shots(&self) -> &[usize] {
        &self.counts
    }

    /// What the user should know: images that are not used.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The episode that the head is asked.
    pub(super) fn shape(&self) -> EpisodeShape {
        let k_shot = if self.means { 1 } else { self.counts[0] };
        EpisodeShape { n_way: self.classes.len(), k_shot, n_query: 0 }
    }

    /// Features of all examples → as the head reads them.
    pub(super) fn reduced(&self, features: Tensor<4>) -> Tensor<4> {
        reduced(features, &self.counts, self.means)
    }
}

/// Features of all examples, by class; or the mean of each class's.
fn reduced(features: Tensor<4>, counts: &[usize], means: bool) -> Tensor<4> {
    if !means {
        return features;
    }
    let mut start = 0;
    let mean = |count: &usize| {
        let of_class = features.clone().narrow(0, start, *count);
        start += count;
        of_class.mean_dim(0)
    };
    Tensor::cat(counts.iter().map(mean).collect(), 0)
}

fn too_few(classes: &[String], root: &Path) -> RunError {
    let root = root.display();
    let reason = match classes.first() {
        None => format!("{root} has no class folders"),
        Some(class) => format!("{root} has one class folder, `{class}`; at least 2 are needed"),
    };
    let help =
        format!("put the example images of each class into a folder of its own: {root}/CLASS/");
    RunError::Missing { reason, help }
}

/// How many images of each class are used, and whether classes are replaced by their means.
fn used(
    predictor: &Predictor,
    classes: &[String],
    found: &[usize],
    root: &Path,
) -> Result<(Vec<usize>, bool), RunError> {
    let least = found.iter().copied().min().unwrap_or(0);
    if let Some(EpisodeShape { n_way, k_shot, .. }) = predictor.tied_to() {
        let tied = format!(
            "the model was trained with {n_way} ways and {k_shot} shots and `method.prototypes: \
             per_way`, and classifies only with as many"
        );
        if classes.len() != n_way {
            return Err(RunError::Missing {
                reason: format!("{} has {} classes; {tied}", root.display(), classes.len()),
                help: format!(
                    "give {n_way} class folders, or train with `method.prototypes: shared` or \
                     `episode.n_way: {}`",
                    classes.len()
                ),
            });
        }
        if least < k_shot {
            let class = found.iter().position(|it| *it == least).unwrap_or(0);
            let images = if least == 1 { "image" } else { "images" };
            return Err(RunError::Missing {
                reason: format!("class `{}` has {least} {images}; {tied}", classes[class]),
                help: format!(
                    "give {k_shot} images of each class, or train with `method.prototypes: \
                     shared` or `episode.k_shot: {least}`"
                ),
            });
        }
        return Ok((vec![k_shot; classes.len()], false));
    }
    if found.iter().all(|it| *it == least) {
        return Ok((found.to_vec(), false));
    }
    if predictor.net.head.averages_shots() {
        return Ok((found.to_vec(), true));
    }
    Ok((vec![least; classes.len()], false))
}
