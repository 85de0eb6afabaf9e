//! Batch norm, rectifier and max-pool whose input is stored in another type.
//!
//! What passed rectifier and pool is stored as bits. Given those, the output is linear in the input, so that it is not
//! stored as well: a convolution that reads it derives it from the input, plane by plane.

use std::sync::Arc;

use burn::backend::TensorMetadata;
use burn_flex::FlexTensor;

use super::After;
use super::flex::{Affine, Planes};
use super::winners::Winners;
use crate::model::kernel::buffer::slice;
use crate::model::kernel::element::Element;
use crate::model::kernel::kept::{ByPlane, Form, LANES, Mask, Stored};

/// What a norm stores for its backward pass. As a tensor by planes it is the norm's output.
#[derive(Debug)]
pub struct Normed {
    pub(super) input: Arc<Stored>,
    pub(super) affine: Affine,
    pub(super) planes: Planes,
    pub(super) passed: Passed,
}

/// What a gradient passes.
#[derive(Debug)]
pub(super) enum Passed {
    /// Every value.
    All,
    /// The values above 0, and of the others what a rectifier leaves.
    Mask(Mask),
    /// The winners of a pool.
    Winners(Winners),
}

impl Normed {
    /// The input, which is what is stored.
    pub fn input(&self) -> &dyn ByPlane {
        &*self.input
    }

    pub(super) fn of<T: Element + burn::tensor::Element>(
        input: &FlexTensor,
        affine: Affine,
        after: After,
        form: Form,
    ) -> Self {
        let planes = Planes::of(&input.shape(), after);
        let shape = input.shape().dims();
        let x = slice::<T>(input);
        let norm = |plane: usize| affine.norms[plane % planes.channels];
        let passed = match planes.pooling() {
            Some(pooling) => Passed::Winners(Winners::of(x, pooling, norm, after.is_masked())),
            None if after.is_masked() => {
                Passed::Mask(Mask::of(x, planes.input(), |plane, x| norm(plane).at(x) > 0.0))
            }
            None => Passed::All,
        };
        Self { input: Arc::new(Stored::of(x, shape, form)), affine, planes, passed }
    }
}

impl ByPlane for Normed {
    fn shape(&self) -> [usize; 4] {
        self.planes.output_shape()
    }

    fn widen(&self, plane: usize, wide: &mut [f32], scratch: &mut Vec<f32>) {
        let norm = self.affine.norms[plane % self.planes.channels];
        let rectifier = self.planes.after.rectifier;
        match &self.passed {
            Passed::All => {
                self.input.plane(plane, wide);
                wide.iter_mut().for_each(|value| *value = norm.at(*value));
            }
            Passed::Mask(mask) => {
                self.input.plane(plane, wide);
                for (wide, word) in wide.chunks_mut(LANES).zip(mask.plane(plane)) {
                    for (lane, value) in wide.iter_mut().enumerate() {
                        let normed = norm.at(*value);
                        let passes = word & (1 << lane) != 0;
                        *value = if passes { normed } else { rectifier.below(normed) };
                    }
                }
            }
            Passed::Winners(winners) => {
                scratch.resize(self.planes.input(), 0.0);
                self.input.plane(plane, scratch);
                wide.fill(0.0);
                winners.each(plane, |window, at| wide[window] = norm.at(scratch[at]));
            }
        }
    }
}
