//! ProFOCT's terms cost next to nothing: the peak of a step beside FSCT's.
//!
//! Alone in its program, as it reads the program's memory. `examples/profoct_cost.rs` measures the
//! same at full size, with times.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![cfg(feature = "counting-allocator")]

use burn::prelude::*;
use fsct::config::{Overrides, load_str};
use fsct::device::allocator::{current_bytes, peak_bytes, reset_peak};
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::stage::{Episode, StageState, StepContext};
use fsct::{graph, plan};

/// Peak bytes of one step, network included.
fn peak(method: &str) -> usize {
    let text = format!(
        "data: {{format: synthetic, image_size: 64}}\nbackbone: {{kind: resnet18}}\n\
         episode: {{n_way: 5, k_shot: 5, n_query: 16}}\nmethod: {{kind: {method}}}\n"
    );
    let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
    let shape = EpisodeShape::from(pipeline.episode);
    let device = Device::flex();
    let before = current_bytes();
    let net = FewShotNet::new(&plan::network(&pipeline), 1, &device.clone().autodiff());
    let mut step = graph::build(&plan::compile(&pipeline), &device).step;
    let images = Tensor::<4>::ones([shape.images(), 3, 64, 64], &device);
    reset_peak();
    let mut state = StageState::default();
    let mut cx = StepContext::new(&mut state);
    step.grads(&net, vec![Episode { images, shape, labels: None }], &mut cx).unwrap();
    peak_bytes() - before
}

#[test]
fn profoct_needs_no_more_memory_than_fsct() {
    // The first step of a program also pays for what is set up once.
    peak("fsct");
    let fsct = peak("fsct");
    assert!(fsct > 100 << 20, "a step of {fsct} bytes was not measured");
    for method in ["profoct", "profoct, vic: {preset: reference}"] {
        let ratio = peak(method) as f64 / fsct as f64;
        assert!(ratio <= 1.05, "{method}: {ratio:.3} times FSCT's peak");
    }
}
