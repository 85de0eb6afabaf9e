//! Kernels that take each value by itself: bytes of images, and running statistics.

mod common;

use common::{Buffers, Precision, assert_near};
use fsct_kernels::model::kernel::cube::Shape4;
use fsct_kernels::model::kernel::images::Affine;
use fsct_kernels::model::kernel::{images, running};

#[test]
fn bytes_become_values_with_the_channels_last() {
    for (images, channels, height, width) in
        [(1, 1, 1, 1), (3, 3, 5, 4), (2, 1, 7, 9), (5, 3, 16, 16)]
    {
        let buffers = Buffers::new();
        let shape = Shape4 { images, height, width, channels };
        let bytes: Vec<u8> = (0..shape.values()).map(|at| (at * 37 % 256) as u8).collect();
        let by = Affine { scale: [0.5, 0.25, 2.0], shift: [-1.0, 0.0, 3.0] };
        let mut expected = vec![0.0; shape.values()];
        let plane = height * width;
        for (at, byte) in bytes.iter().enumerate() {
            let (image, channel, pixel) =
                (at / plane / channels, at / plane % channels, at % plane);
            expected[(image * plane + pixel) * channels + channel] =
                f64::from(*byte) * f64::from(by.scale[channel]) + f64::from(by.shift[channel]);
        }
        let on_device = buffers.client.create_from_slice(&bytes);
        let values = buffers.empty(shape.values(), Precision::F32);
        images::cube::launch::normalized(&buffers.client, &on_device, &values, shape, by);
        let actual = buffers.read(&values, shape.values(), Precision::F32);
        assert_near(&format!("{shape:?}"), &actual, &expected, Precision::F32.bar());
    }
}

#[test]
fn running_statistics_move_towards_a_batch() {
    for channels in [1, 3, 300] {
        let mut buffers = Buffers::new();
        let [(mean, means), (variance, variances), (of_batch, of_batches), (spread, spreads)] =
            [0; 4].map(|_| buffers.draw(channels, Precision::F32));
        let out = [0; 2].map(|_| buffers.empty(channels, Precision::F32));
        let (share, correction) = (0.1f32, 1.25f32);
        running::cube::launch::running(
            &buffers.client,
            [&mean, &variance],
            [&of_batch, &spread],
            [&out[0], &out[1]],
            share,
            correction,
            channels,
        );
        let moved = |old: &[f64], new: &[f64], factor: f64| -> Vec<f64> {
            old.iter().zip(new).map(|(old, new)| old * 0.9 + new * factor * 0.1).collect()
        };
        let expected = [moved(&means, &of_batches, 1.0), moved(&variances, &spreads, 1.25)];
        for (handle, expected) in out.iter().zip(&expected) {
            let actual = buffers.read(handle, channels, Precision::F32);
            assert_near(&format!("{channels} channels"), &actual, expected, Precision::F32.bar());
        }
    }
}
