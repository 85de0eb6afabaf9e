//! The update of a parameter on the CPU, in place and block by block: no tensor of its size is allocated.

use burn::prelude::*;
use rayon::prelude::*;

use super::packed::{BLOCK, Noise, Packed, Part};
use super::rule::{Rule, Step};
use super::state::{Moment, State};
use crate::config::OptimizerState;

/// Values that a thread updates at once.
const PART: usize = 64 * BLOCK;
const F32: &str = "parameters, their gradients and whole moments are f32";

/// A parameter and its state after a step. The buffers of both are reused; the gradient's is freed.
pub fn update<const D: usize>(
    rule: Rule,
    packing: OptimizerState,
    rate: f64,
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    state: Option<State<D>>,
) -> (Tensor<D>, State<D>) {
    let device = parameter.device();
    // Without a copy: nobody else holds these tensors.
    let mut values = parameter.into_data();
    let gradient = gradient.into_data();
    // That of a damaged checkpoint starts anew, as where a parameter has none.
    let count = values.num_elements();
    let fits = |moment: &Moment<D>| moment.len() == count;
    let state = state.filter(|state| {
        state.moments.len() == rule.moments().len() && state.moments.iter().all(fits)
    });
    let (time, mut moments) = match state {
        Some(State { time, moments }) => {
            (time + 1, moments.into_iter().map(Host::from).collect::<Vec<_>>())
        }
        None => (1, rule.moments().iter().map(|_| Host::zeros(packing, &values)).collect()),
    };

    let x = values.as_mut_slice::<f32>().expect(F32).par_chunks_mut(PART);
    let g = gradient.as_slice::<f32>().expect(F32).par_chunks(PART);
    let mut parts: Vec<Vec<Part>> = (0..x.len()).map(|_| Vec::with_capacity(2)).collect();
    for moment in &mut moments {
        parts.iter_mut().zip(moment.parts()).for_each(|(parts, part)| parts.push(part));
    }
    let step = rule.at(rate, time);
    x.zip(g).zip(&mut parts).enumerate().for_each(|(part, ((x, g), moments))| {
        update_part(step, part * PART, x, g, moments);
    });
    drop(parts);

    let moments = moments.into_iter().map(|it| it.moment(&device)).collect();
    (Tensor::from_data(values, &device), State { time, moments })
}

/// Updates the values from `start` on.
fn update_part(step: Step, start: usize, x: &mut [f32], g: &[f32], moments: &mut [Part]) {
    let ranges = step.rule.moments();
    let mut buffers = [[0.0; BLOCK]; 2];
    for (block, (x, g)) in x.chunks_mut(BLOCK).zip(g.chunks(BLOCK)).enumerate() {
        let count = x.len();
        for ((part, range), values) in moments.iter().zip(ranges).zip(&mut buffers) {
            part.load(block, *range, &mut values[..count]);
        }
        let [first, second] = &mut buffers;
        step.update(x, g, &mut first[..count], &mut second[..count]);
        for (index, part) in moments.iter_mut().enumerate() {
            let noise = Noise::new(step.time, index, start + block * BLOCK);
            part.store(block, ranges[index], &buffers[index][..count], noise);
        }
    }
}

/// A moment whose values can be written to.
enum Host {
    Whole(TensorData),
    Packed(Packed),
}

impl Host {
    fn zeros(packing: OptimizerState, like: &TensorData) -> Self {
        match Packed::zeros(packing, like.num_elements()) {
            Some(packed) => Self::Packed(packed),
            None => Self::Whole(TensorData::zeros::<f32, _>(like.shape().clone())),
        }
    }

    fn parts(&mut self) -> Vec<Part<'_>> {
        match self {
            Self::Whole(data) => {
                let values = data.as_mut_slice::<f32>().expect(F32);
                values.chunks_mut(PART).map(Part::Whole).collect()
            }
            Self::Packed(packed) => packed.parts(PART),
        }
    }

    fn moment<const D: usize>(self, device: &Device) -> Moment<D> {
        match self {
            Self::Whole(data) => Moment::Whole(Tensor::from_data(data, device)),
            Self::Packed(packed) => Moment::Packed(packed),
        }
    }
}

impl<const D: usize> From<Moment<D>> for Host {
    fn from(moment: Moment<D>) -> Self {
        match moment {
            Moment::Whole(tensor) => Self::Whole(tensor.into_data()),
            Moment::Packed(packed) => Self::Packed(packed),
        }
    }
}
