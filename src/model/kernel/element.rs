use std::borrow::Cow;
use std::mem::MaybeUninit;

use burn::tensor::{bf16, f16};
use half::slice::HalfFloatSliceExt;

use super::bits;

/// Values that are rounded at once.
const CHUNK: usize = 256;

/// A float type of stored values; arithmetic is in f32.
pub trait Element: bytemuck::Pod + Send + Sync {
    /// Zero.
    const ZERO: Self;
    /// Widens.
    fn to_f32(self) -> f32;
    /// Rounds to nearest.
    fn from_f32(value: f32) -> Self;

    /// Widens a slice.
    fn widen(values: &[Self], wide: &mut [f32]) {
        wide.iter_mut().zip(values).for_each(|(wide, value)| *wide = value.to_f32());
    }

    /// A slice in f32; an f32 slice is borrowed.
    fn wide(values: &[Self]) -> Cow<'_, [f32]> {
        let mut wide = vec![0.0; values.len()];
        Self::widen(values, &mut wide);
        Cow::Owned(wide)
    }

    /// Rounds sums.
    fn rounded(sums: Vec<f32>) -> Vec<Self> {
        sums.into_iter().map(Self::from_f32).collect()
    }

    /// Rounds a slice into uninitialised memory.
    fn narrow(wide: &[f32], room: &mut [MaybeUninit<Self>]) {
        for (room, value) in room.iter_mut().zip(wide) {
            room.write(Self::from_f32(*value));
        }
    }

    /// Sum of `value` over the elements: sixteen f32 lanes, which the compiler keeps in vector
    /// registers, then their sum in f64.
    fn sum_of(values: &[Self], value: impl Fn(f32) -> f32) -> f64 {
        const LANES: usize = 16;
        let chunks = values.chunks_exact(LANES);
        let rest: f64 = chunks.remainder().iter().map(|x| f64::from(value(x.to_f32()))).sum();
        let mut lanes = [0.0f32; LANES];
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane += value(x.to_f32());
            }
        }
        rest + lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>()
    }

    /// Sum.
    fn sum(values: &[Self]) -> f64 {
        Self::sum_of(values, |value| value)
    }
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(value: f32) -> Self {
        value
    }
    fn widen(values: &[Self], wide: &mut [f32]) {
        wide.copy_from_slice(values);
    }
    fn wide(values: &[Self]) -> Cow<'_, [f32]> {
        Cow::Borrowed(values)
    }
    fn rounded(sums: Vec<f32>) -> Vec<Self> {
        sums
    }
}

impl Element for f16 {
    const ZERO: Self = f16::ZERO;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        bits::f16_to_f32(self.to_bits())
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f16::from_bits(bits::f32_to_f16(value))
    }
    fn widen(values: &[Self], wide: &mut [f32]) {
        values.convert_to_f32_slice(wide);
    }
    fn narrow(wide: &[f32], room: &mut [MaybeUninit<Self>]) {
        for (wide, room) in wide.chunks(CHUNK).zip(room.chunks_mut(CHUNK)) {
            let mut narrow = [Self::ZERO; CHUNK];
            narrow[..wide.len()].convert_from_f32_slice(wide);
            room.iter_mut().zip(narrow).for_each(|(room, value)| {
                room.write(value);
            });
        }
    }
}

impl Element for bf16 {
    const ZERO: Self = bf16::ZERO;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        bits::bf16_to_f32(self.to_bits())
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        bf16::from_bits(bits::f32_to_bf16(value))
    }
}
