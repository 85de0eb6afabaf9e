//! The CPU kernels: a thread takes a plane at a time.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape, bf16, f16};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::model::kernel::Rectifier;
use crate::model::kernel::buffer::{slice, tensor, values};
use crate::model::kernel::element::Element;

/// Added to the code of a winner that is not above 0.
const BELOW: u8 = 4;

/// The codes of the windows of all planes.
#[derive(Debug)]
pub struct Codes {
    codes: Vec<u8>,
    planes: Planes,
}

/// `[N · C]` planes of `[H, W]` that are pooled 2×2.
#[derive(Debug, Clone, Copy)]
struct Planes {
    shape: [usize; 4],
}

impl Planes {
    fn input(self) -> usize {
        self.shape[2] * self.shape[3]
    }

    fn output_shape(self) -> [usize; 4] {
        let [images, channels, height, width] = self.shape;
        [images, channels, height / 2, width / 2]
    }

    fn output(self) -> usize {
        let [.., rows, columns] = self.output_shape();
        rows * columns
    }

    fn count(self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// The window's first position in its plane, and the positions of the four from there.
    fn window(self, window: usize) -> (usize, [usize; 4]) {
        let (width, columns) = (self.shape[3], self.shape[3] / 2);
        let first = 2 * (window / columns) * width + 2 * (window % columns);
        (first, [0, 1, width, width + 1])
    }
}

/// The output, and the codes of its windows; none where they are not asked for.
pub(super) fn forward(a: FlexTensor, b: FlexTensor, coded: bool) -> (FlexTensor, Codes) {
    match a.dtype() {
        DType::F32 => forward_of::<f32>(a, b, coded),
        DType::F16 => forward_of::<f16>(a, b, coded),
        DType::BF16 => forward_of::<bf16>(a, b, coded),
        dtype => panic!("the end of a block has no kernel for {dtype:?}"),
    }
}

fn forward_of<T: Element + burn::tensor::Element>(
    a: FlexTensor,
    b: FlexTensor,
    coded: bool,
) -> (FlexTensor, Codes) {
    assert_eq!(a.shape(), b.shape(), "both branches of a residual block have one shape");
    let planes = Planes { shape: a.shape().dims() };
    let (a, b) = (values::<T>(a), values::<T>(b));
    let of_plane = planes.output().max(1);
    let mut output = vec![T::ZERO; planes.count() * planes.output()];
    let mut codes = vec![0u8; if coded { output.len() } else { 0 }];
    let (a, b) = (slice::<T>(&a), slice::<T>(&b));
    let branches = || a.par_chunks(planes.input().max(1)).zip(b.par_chunks(planes.input().max(1)));
    let y = output.par_chunks_mut(of_plane);
    if coded {
        y.zip(codes.par_chunks_mut(of_plane)).zip(branches()).for_each(|((y, codes), (a, b))| {
            each_winner(a, b, planes, |window, position, sum| {
                y[window] = T::from_f32(Rectifier::Leaky.of(sum));
                codes[window] = if sum > 0.0 { position } else { position + BELOW };
            });
        });
    } else {
        y.zip(branches()).for_each(|(y, (a, b))| {
            each_winner(a, b, planes, |window, _, sum| {
                y[window] = T::from_f32(Rectifier::Leaky.of(sum));
            });
        });
    }
    (tensor(output, planes.output_shape()), Codes { codes, planes })
}

/// Visits the winner of every window: (number of the window, position in it, sum). It is the first of equals, as in
/// PyTorch; NaN wins, so that an overflow stays visible. As a leaky rectifier is monotone, the winner is the same
/// before and after it.
#[inline(always)]
fn each_winner<T: Element>(
    a: &[T],
    b: &[T],
    planes: Planes,
    mut visit: impl FnMut(usize, u8, f32),
) {
    for window in 0..planes.output() {
        let (first, offsets) = planes.window(window);
        let sums = offsets.map(|offset| a[first + offset].to_f32() + b[first + offset].to_f32());
        let (mut position, mut best) = (0, sums[0]);
        for (at, sum) in (0..).zip(sums) {
            if sum > best || sum.is_nan() {
                (position, best) = (at, sum);
            }
        }
        visit(window, position, best);
    }
}

/// The gradient of the sum: that of the output at each winner, less of it where the winner is not above 0.
pub(super) fn backward(codes: &Codes, d_output: FlexTensor) -> FlexTensor {
    match d_output.dtype() {
        DType::F32 => backward_of::<f32>(codes, d_output),
        DType::F16 => backward_of::<f16>(codes, d_output),
        DType::BF16 => backward_of::<bf16>(codes, d_output),
        dtype => panic!("the end of a block has no kernel for {dtype:?}"),
    }
}

fn backward_of<T: Element + burn::tensor::Element>(
    codes: &Codes,
    d_output: FlexTensor,
) -> FlexTensor {
    let planes = codes.planes;
    let d_output = values::<T>(d_output);
    let of_plane = planes.output().max(1);
    let mut d_sum = vec![T::ZERO; planes.count() * planes.input()];
    d_sum
        .par_chunks_mut(planes.input().max(1))
        .zip(slice::<T>(&d_output).par_chunks(of_plane))
        .zip(codes.codes.par_chunks(of_plane))
        .for_each(|((d_sum, d_y), codes)| {
            for (window, (d_y, code)) in d_y.iter().zip(codes).enumerate() {
                let (first, offsets) = planes.window(window);
                let place = &mut d_sum[first + offsets[usize::from(code % BELOW)]];
                *place = match *code < BELOW {
                    true => *d_y,
                    false => T::from_f32(Rectifier::Leaky.below(d_y.to_f32())),
                };
            }
        });
    tensor(d_sum, [planes.count() * planes.input()]).reshape(Shape::new(planes.shape))
}
