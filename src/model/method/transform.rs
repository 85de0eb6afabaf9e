//! The transformation of features before they are compared: SimpleShot's, which other methods on frozen features
//! have taken over.

use burn::module::Param;
use burn::prelude::*;

use super::vectors::unit;
use crate::model::init::Init;
use crate::model::layers::{to_f32, to_host};
use crate::network::Transform;

/// Features → features of the same width.
#[derive(Module, Debug)]
pub struct FeatureTransform {
    #[module(skip)]
    transform: Transform,
    /// Mean feature of the training images, `[dim]`; all zeros where it is not computed, as in training.
    pub mean: Option<Param<Tensor<1>>>,
}

impl FeatureTransform {
    /// A transformation of `dim` features, without their mean.
    pub fn new(transform: Transform, dim: usize, init: &Init) -> Self {
        let is_centered = transform == Transform::CenteredL2;
        Self { transform, mean: is_centered.then(|| init.buffer([dim], 0.0)) }
    }

    /// Which transformation it is.
    pub fn kind(&self) -> Transform {
        self.transform
    }

    /// Whether it subtracts a mean that is not computed.
    pub fn lacks_mean(&self) -> bool {
        let mean = self.mean.as_ref().map(|mean| to_host(mean.val()));
        mean.is_some_and(|values| values.iter().all(|value| *value == 0.0))
    }

    /// Sets the mean feature that is subtracted; zeros take it away. Nothing where none is.
    ///
    /// # Panics
    /// When `values` has another length.
    pub fn set_mean(&mut self, values: &[f32]) {
        self.mean = self.mean.take().map(|mean| {
            mean.map(|old| {
                assert_eq!(old.dims(), [values.len()], "one value for each feature");
                Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &old.device())
            })
        });
    }

    /// Transformed rows of features, f32.
    pub fn apply(&self, rows: Tensor<2>) -> Tensor<2> {
        let rows = to_f32(rows);
        let centered = match &self.mean {
            Some(mean) => rows - to_f32(mean.val()).unsqueeze(),
            None => rows,
        };
        match self.transform {
            Transform::None => centered,
            Transform::L2 | Transform::CenteredL2 => unit(centered),
        }
    }
}
