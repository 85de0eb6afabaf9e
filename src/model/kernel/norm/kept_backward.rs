//! The backward pass of a norm whose input is stored in another type. Each thread widens a plane at a time, and the
//! gradient of the input overwrites that of the output where nothing was pooled and it has one owner.

use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::flex::{InputGradient, Lanes};
use super::kept::{Normed, Passed};
use crate::model::kernel::buffer::{owned, slice, tensor, values, vector};
use crate::model::kernel::element::Element;
use crate::model::kernel::kept::LANES;

/// Gradients of input, scale and shift.
pub(super) fn backward<T: Element + burn::tensor::Element>(
    kept: &Normed,
    d_output: FlexTensor,
    fixed: bool,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let planes = kept.planes;
    let rectifier = planes.after.rectifier;
    let d_output = values::<T>(d_output);
    let (d_beta, d_gamma) = sums(kept, slice::<T>(&d_output));
    let gradient = |plane: usize| {
        let channel = plane % planes.channels;
        let sums = (!fixed).then(|| [d_beta[channel], d_gamma[channel]]);
        InputGradient::of(&kept.affine, channel, sums, planes.count())
    };
    let d_input = match &kept.passed {
        Passed::Winners(winners) => {
            let d_y = slice::<T>(&d_output);
            let mut d_input = vec![T::ZERO; planes.images * planes.channels * planes.input()];
            let room = || (vec![0.0; planes.input()], vec![0.0; planes.input()]);
            d_input.par_chunks_mut(planes.input()).enumerate().for_each_init(
                room,
                |(x, d_z), (plane, d_x)| {
                    kept.input.plane(plane, x);
                    d_z.fill(0.0);
                    let d_y = planes.output_plane(d_y, plane);
                    winners.each(plane, |window, at| d_z[at] += d_y[window].to_f32());
                    let gradient = gradient(plane);
                    for ((d_x, x), d_z) in d_x.iter_mut().zip(&*x).zip(&*d_z) {
                        *d_x = T::from_f32(gradient.at(*x, *d_z));
                    }
                },
            );
            tensor(d_input, [planes.images, planes.channels, planes.height, planes.width])
        }
        Passed::All | Passed::Mask(_) => {
            let mut target = d_output;
            if owned::<T>(&mut target).is_none() {
                let copy = slice::<T>(&target).to_vec();
                let count = copy.len();
                target = tensor(copy, [count]);
            }
            let d_values = owned::<T>(&mut target).expect("a copy has one owner");
            d_values.par_chunks_mut(planes.input()).enumerate().for_each_init(
                || vec![0.0; planes.input()],
                |x, (plane, d)| {
                    kept.input.plane(plane, x);
                    let gradient = gradient(plane);
                    for (chunk, (d, x)) in d.chunks_mut(LANES).zip(x.chunks(LANES)).enumerate() {
                        let word = kept.passed.word(plane, chunk);
                        for (lane, (d, x)) in d.iter_mut().zip(x).enumerate() {
                            let d_y = d.to_f32();
                            let passes = word & (1 << lane) != 0;
                            let d_z = if passes { d_y } else { rectifier.below(d_y) };
                            *d = T::from_f32(gradient.at(*x, d_z));
                        }
                    }
                },
            );
            let shape = [planes.images, planes.channels, planes.height, planes.width];
            target.reshape(Shape::new(shape))
        }
    };
    let narrow = |sums: Vec<f64>| vector(sums.into_iter().map(|sum| sum as f32).collect());
    (d_input, narrow(d_gamma), narrow(d_beta))
}

/// By channel, the sums of the gradient after the norm, and of it times the normalised input.
fn sums<T: Element>(kept: &Normed, d_y: &[T]) -> (Vec<f64>, Vec<f64>) {
    let planes = kept.planes;
    let rectifier = planes.after.rectifier;
    let of_channel = |x: &mut Vec<f32>, channel: usize| {
        x.resize(planes.input(), 0.0);
        let (mean, inv_std) = (kept.affine.mean[channel], kept.affine.inv_std[channel]);
        let (mut total, mut projected) = (0.0, 0.0);
        for plane in planes.of_channel(channel) {
            kept.input.plane(plane, x);
            let d_y = planes.output_plane(d_y, plane);
            let (mut sum, mut product) = (Lanes::default(), Lanes::default());
            if let Passed::Winners(winners) = &kept.passed {
                winners.each(plane, |window, at| {
                    let d_z = d_y[window].to_f32();
                    sum.add(at, d_z);
                    product.add(at, d_z * ((x[at] - mean) * inv_std));
                });
            } else {
                for (chunk, (x, d_y)) in x.chunks(LANES).zip(d_y.chunks(LANES)).enumerate() {
                    let word = kept.passed.word(plane, chunk);
                    for (lane, (x, d_y)) in x.iter().zip(d_y).enumerate() {
                        let d_y = d_y.to_f32();
                        let passes = word & (1 << lane) != 0;
                        let d_z = if passes { d_y } else { rectifier.below(d_y) };
                        sum.add(lane, d_z);
                        product.add(lane, d_z * ((x - mean) * inv_std));
                    }
                }
            }
            total += sum.total();
            projected += product.total();
        }
        (total, projected)
    };
    (0..planes.channels).into_par_iter().map_init(Vec::new, of_channel).unzip()
}

impl Passed {
    /// The bits of sixteen values of a plane that is not pooled.
    #[inline(always)]
    fn word(&self, plane: usize, chunk: usize) -> u16 {
        match self {
            Self::Mask(mask) => mask.plane(plane)[chunk],
            Self::All | Self::Winners(_) => u16::MAX,
        }
    }
}
