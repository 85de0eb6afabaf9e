//! Seeded initial values, drawn on the host so that they are the same on every device.

use burn::module::{Param, ParamId};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::layers::LAYER_NORM_EPSILON;
use super::norm::BatchNorm;
use crate::network;

/// Draws initial values for the layers of a network, in order.
pub struct Init<'a> {
    rng: ChaCha8Rng,
    device: &'a Device,
}

impl<'a> Init<'a> {
    /// Values for `device` from `seed`.
    pub fn new(seed: u64, device: &'a Device) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), device }
    }

    /// A parameter of one constant value.
    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::full(shape, value, self.device))
    }

    /// A parameter with given values, off the tape.
    pub fn parameter<const D: usize>(&self, values: Tensor<D>) -> Param<Tensor<D>> {
        let values = values.into_data();
        Param::from_tensor(Tensor::from_data(values, self.device))
    }

    /// A buffer: recorded with the model, never trained.
    pub fn buffer<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        Param::initialized(ParamId::new(), Tensor::full(shape, value, self.device))
    }

    /// A parameter drawn from `U(−bound, bound)`.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        self.draw(shape, |rng| rng.random_range(-bound..=bound))
    }

    /// A parameter drawn from `N(0, std²)`.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f64) -> Param<Tensor<D>> {
        self.draw(shape, |rng| std * standard_normal(rng))
    }

    fn draw<const D: usize>(
        &mut self,
        shape: [usize; D],
        value: impl Fn(&mut ChaCha8Rng) -> f64,
    ) -> Param<Tensor<D>> {
        let rng = &mut self.rng;
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| value(rng) as f32).collect();
        // `Param::from_data` takes memory that CubeCL keeps for weights of this size, and does not give back when the
        // first step replaces them.
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device))
    }

    /// A linear layer with PyTorch's default values: `U(−1/√in, 1/√in)`.
    pub fn linear(&mut self, layer: network::Linear) -> Linear {
        let network::Linear { input, output, bias } = layer;
        let bound = 1.0 / (input as f64).sqrt();
        let mut linear = LinearConfig::new(input, output).with_bias(bias).init(self.device);
        linear.weight = self.uniform([input, output], bound);
        linear.bias = bias.then(|| self.uniform([output], bound));
        linear
    }

    /// A linear layer with weights from `N(0, std²)` and a bias of 0.
    pub fn normal_linear(&mut self, layer: network::Linear, std: f64) -> Linear {
        let network::Linear { input, output, bias } = layer;
        let mut linear = LinearConfig::new(input, output).with_bias(bias).init(self.device);
        linear.weight = self.normal([input, output], std);
        linear.bias = bias.then(|| self.constant([output], 0.0));
        linear
    }

    /// A layer norm: scale 1, shift 0; whoever passes it says which ε it has.
    pub fn layer_norm(&self, width: usize) -> LayerNorm {
        let mut norm =
            LayerNormConfig::new(width).with_epsilon(LAYER_NORM_EPSILON).init(self.device);
        norm.gamma = self.constant([width], 1.0);
        norm.beta = Some(self.constant([width], 0.0));
        norm
    }

    /// A batch norm: scale 1, shift 0, running mean 0 and variance 1.
    pub fn batch_norm(&self, norm: &network::Norm) -> BatchNorm {
        let channels = norm.input[0];
        BatchNorm {
            gamma: self.constant([channels], 1.0),
            beta: self.constant([channels], 0.0),
            running_mean: self.buffer([channels], 0.0),
            running_var: self.buffer([channels], 1.0),
        }
    }

    /// A convolution with PyTorch's default values: weights and bias from `U(−1/√fan_in, 1/√fan_in)`.
    pub fn patches(&mut self, layer: &network::Conv) -> Conv2d {
        let mut conv = self.empty_conv(layer);
        let bound = 1.0 / (layer.field() as f64).sqrt();
        let [output, input] = [layer.output[0], layer.input[0]];
        conv.weight = self.uniform([output, input, layer.kernel, layer.kernel], bound);
        conv.bias = layer.bias.then(|| self.uniform([output], bound));
        conv
    }

    /// A convolution whose values are to be replaced.
    fn empty_conv(&self, layer: &network::Conv) -> Conv2d {
        let network::Conv { kernel, stride, padding, bias, .. } = *layer;
        Conv2dConfig::new([layer.input[0], layer.output[0]], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .with_bias(bias)
            .init(self.device)
    }

    /// A convolution with kaiming-normal weights, fan-out: `N(0, 2 / (k² · out))`. Its bias, if any, is
    /// PyTorch's default `U(−1/√fan_in, 1/√fan_in)`.
    pub fn conv(&mut self, layer: &network::Conv) -> Conv2d {
        let network::Conv { kernel, bias, .. } = *layer;
        let [input, output] = [layer.input[0], layer.output[0]];
        let mut conv = self.empty_conv(layer);
        let std = (2.0 / (kernel * kernel * output) as f64).sqrt();
        conv.weight = self.normal([output, input, kernel, kernel], std);
        let bound = 1.0 / (layer.field() as f64).sqrt();
        conv.bias = bias.then(|| self.uniform([output], bound));
        conv
    }
}

/// Box–Muller: without rejection, so that the number of draws does not depend on the values.
fn standard_normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
