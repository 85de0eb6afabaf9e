//! What an optimizer remembers of a parameter, and how it is written into a checkpoint.

use burn::optim::{RecordState, StateSink, StateSource, join_path};
use burn::prelude::*;
use burn::tensor::DType;
use half::bf16;

use super::packed::Packed;

/// A moving average over the steps, of a parameter's shape.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one lives for each moment of a parameter")]
pub enum Moment<const D: usize> {
    /// A tensor of f32.
    Whole(Tensor<D>),
    /// In fewer bits, in the memory of the CPU.
    Packed(Packed),
}

impl<const D: usize> Moment<D> {
    /// Number of values that it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Whole(tensor) => tensor.dims().iter().product(),
            Self::Packed(packed) => packed.len(),
        }
    }
}

/// What is remembered of a parameter.
#[derive(Debug, Clone)]
pub struct State<const D: usize> {
    /// Number of steps so far.
    pub time: usize,
    /// AdamW and Adam have two, SGD with momentum one.
    pub moments: Vec<Moment<D>>,
}

/// Names in a checkpoint, which are Burn's.
const NAMES: [&[&str]; 2] = [&["velocity"], &["moment_1", "moment_2"]];
const PARENT: &str = "momentum";
const TIME: &str = "time";
const CODES: &str = "codes";
const SCALES: &str = "scales";

impl<const D: usize> RecordState for State<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        let prefix = join_path(prefix, PARENT);
        let Some(names) = NAMES.iter().find(|it| it.len() == self.moments.len()) else { return };
        out.push_scalar(&prefix, TIME, self.time.into());
        for (moment, name) in self.moments.iter().zip(*names) {
            match moment {
                Moment::Whole(tensor) => out.push_tensor(&prefix, name, tensor.to_data()),
                Moment::Packed(Packed::Bf16(values)) => {
                    let data = TensorData::new(values.clone(), [values.len()]);
                    out.push_tensor(&prefix, name, data);
                }
                Moment::Packed(Packed::Int8 { codes, scales }) => {
                    let name = join_path(&prefix, name);
                    let data = TensorData::new(codes.clone(), [codes.len()]);
                    out.push_tensor(&name, CODES, data);
                    let data = TensorData::new(scales.clone(), [scales.len()]);
                    out.push_tensor(&name, SCALES, data);
                }
            }
        }
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let prefix = join_path(prefix, PARENT);
        // SGD's was written without a time before its state had choices.
        let time = src.take_scalar(&prefix, TIME).and_then(|it| it.try_into().ok()).unwrap_or(1);
        for names in NAMES {
            let moments: Vec<_> =
                names.iter().map_while(|name| moment(&prefix, name, src, device)).collect();
            match moments.len() {
                0 => {}
                found if found == names.len() => return Some(Self { time, moments }),
                _ => return None,
            }
        }
        Some(Self { time, moments: Vec::new() })
    }
}

/// Takes a moment out of a checkpoint.
fn moment<const D: usize>(
    prefix: &str,
    name: &str,
    src: &mut StateSource,
    device: &Device,
) -> Option<Moment<D>> {
    if let Some(data) = src.take_tensor(prefix, name) {
        return Some(match data.dtype() {
            DType::BF16 => Moment::Packed(Packed::Bf16(data.try_into_vec::<bf16>().ok()?)),
            _ => Moment::Whole(Tensor::from_data(data, device)),
        });
    }
    let name = join_path(prefix, name);
    let codes = src.take_tensor(&name, CODES)?.try_into_vec::<u8>().ok()?;
    let scales = src.take_tensor(&name, SCALES)?.try_into_vec::<f32>().ok()?;
    Some(Moment::Packed(Packed::Int8 { codes, scales }))
}
