//! Seconds of each convolution of a ResNet18 on the CPU, forward and both gradients, as lines of JSON.
//!
//! `benches/layers.py` runs it beside PyTorch.
//!
//! ```sh
//! cargo run --release --example layer_speed            # 25 images of 224 px
//! cargo run --release --example layer_speed -- 112 25
//! ```

use std::time::Instant;

use burn::prelude::*;
use burn::tensor::Distribution;
use fsct::model::kernel::conv::conv;
use fsct::network::{BackboneSpec, Trunk};

/// Runs of which the fastest counts.
const TRIES: usize = 5;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|it| it.parse().expect("a number"));
    let side = numbers.next().unwrap_or(224);
    let images = numbers.next().unwrap_or(25);
    let spec = BackboneSpec::resnet([2, 2, 2, 2], Trunk::Torchvision, [3, side, side]);
    let mut seen = Vec::new();
    for (layer, _) in spec.blocks().iter().flat_map(|block| block.layers()) {
        if seen.contains(&layer) {
            continue;
        }
        let [forward, weight, both] = seconds(&layer, images);
        let fraction = |seconds: f64| (seconds * 1e6).round() / 1e6;
        println!(
            "{{\"input\": {:?}, \"output\": {:?}, \"kernel\": {}, \"stride\": {}, \"images\": {images}, \
             \"forward\": {}, \"weight\": {}, \"input_gradient\": {}}}",
            layer.input,
            layer.output,
            layer.kernel,
            layer.stride,
            fraction(forward),
            fraction(weight),
            fraction((both - weight).max(0.0)),
        );
        seen.push(layer);
    }
}

/// Of the forward pass, of the gradient of the weights, and of both gradients.
fn seconds(layer: &fsct::network::Conv, images: usize) -> [f64; 3] {
    let device = Device::flex().autodiff();
    let normal = Distribution::Normal(0.0, 1.0);
    let [channels, height, width] = layer.input;
    let [filters, ..] = layer.output;
    let (kernel, stride) = (layer.kernel, layer.stride);
    let input = Tensor::<4>::random([images, channels, height, width], normal, &device);
    let weight = Tensor::<4>::random([filters, channels, kernel, kernel], normal, &device);
    let mut least = [f64::INFINITY; 3];
    for _ in 0..TRIES {
        for (at, wants_input) in [(1, false), (2, true)] {
            let input = input.clone().detach();
            let input = if wants_input { input.require_grad() } else { input };
            let weight = weight.clone().detach().require_grad();
            let start = Instant::now();
            let output = conv(input, weight, None, stride, kernel / 2);
            least[0] = least[0].min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let gradients = output.backward();
            least[at] = least[at].min(start.elapsed().as_secs_f64());
            drop(gradients);
        }
    }
    least
}
