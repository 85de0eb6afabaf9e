//! Buffers of the runtime, and how far they are from f64.
#![allow(dead_code, reason = "each test uses its own part")]

use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;
use half::f16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// f32 sums in another order.
pub const EXACT: f64 = 1e-4;
/// One rounding to f16.
pub const F16: f64 = 1e-3;

/// A precision of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    F16,
}

pub const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::F16];

impl Precision {
    pub fn element(self) -> ElemType {
        ElemType::Float(match self {
            Self::F32 => FloatKind::F32,
            Self::F16 => FloatKind::F16,
        })
    }

    pub fn bar(self) -> f64 {
        match self {
            Self::F32 => EXACT,
            Self::F16 => F16,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Buffers on the device, of numbers that are drawn in order.
pub struct Buffers {
    pub client: Client,
    rng: ChaCha8Rng,
}

impl Buffers {
    pub fn new() -> Self {
        let client = cubecl::Device::Cpu(cubecl::cpu::CpuDevice).client();
        Self { client, rng: ChaCha8Rng::seed_from_u64(17) }
    }

    /// Drawn numbers as the device gets them: rounded to the precision.
    pub fn draw(&mut self, count: usize, precision: Precision) -> (Handle, Vec<f64>) {
        let draw = || self.rng.random_range(-1.0f32..1.5);
        let values: Vec<f32> = std::iter::repeat_with(draw).take(count).collect();
        self.put(values, precision)
    }

    /// Numbers on the device, and as they are there.
    pub fn put(&self, values: Vec<f32>, precision: Precision) -> (Handle, Vec<f64>) {
        match precision {
            Precision::F32 => {
                let handle = self.client.create_from_slice(f32::as_bytes(&values));
                (handle, values.into_iter().map(f64::from).collect())
            }
            Precision::F16 => {
                let values: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
                let handle = self.client.create_from_slice(f16::as_bytes(&values));
                (handle, values.into_iter().map(f64::from).collect())
            }
        }
    }

    pub fn empty(&self, count: usize, precision: Precision) -> Handle {
        self.client.empty(count * precision.bytes())
    }

    pub fn read(&self, handle: &Handle, count: usize, precision: Precision) -> Vec<f64> {
        let bytes = self.client.read_one_unchecked(handle.clone());
        match precision {
            Precision::F32 => {
                f32::from_bytes(&bytes)[..count].iter().map(|x| f64::from(*x)).collect()
            }
            Precision::F16 => {
                f16::from_bytes(&bytes)[..count].iter().map(|x| f64::from(*x)).collect()
            }
        }
    }
}

/// Fails where the largest difference, relative to the largest value, is above `bar`.
pub fn assert_near(case: &str, actual: &[f64], expected: &[f64], bar: f64) {
    assert_eq!(actual.len(), expected.len(), "{case}");
    let scale = expected.iter().fold(1e-2, |most: f64, value| most.max(value.abs()));
    let pairs = actual.iter().zip(expected);
    let error = pairs.fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / scale;
    // Not `error >= bar`: what is not a number fails.
    assert!(error < bar, "{case}: {error:.1e} of {bar:.0e}");
}
