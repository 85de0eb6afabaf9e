//! Puts memory stages around a training step by hand, and measures what each saves.
//!
//! ```sh
//! cargo run --release --example stages
//! ```

use std::rc::Rc;

use burn::prelude::*;
use fsct::device::allocator::{current_bytes, peak_bytes, reset_peak};
use fsct::loss::Objective;
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::network::{
    Attention, BackboneSpec, BatchNormMode, Classifier, FsctSpec, HeadSpec, Network, Prototypes,
    Segment,
};
use fsct::report::bytes;
use fsct::stage::backward::Backward;
use fsct::stage::embed::Plain;
use fsct::stage::micro_batch::MicroBatch;
use fsct::stage::recompute::Recompute;
use fsct::stage::{Embed, Episode, StageState, Step, StepContext, StepError};

fn main() -> Result<(), StepError> {
    let device = Device::flex();
    let shape = EpisodeShape { n_way: 5, k_shot: 1, n_query: 7 };
    let network = Network {
        backbone: BackboneSpec::conv(4, [3, 84, 84]),
        head: HeadSpec::Fsct(FsctSpec {
            attention: Attention::Cosine,
            depth: 1,
            heads: 8,
            dim_head: 64,
            mlp_dim: 512,
            classifier: Classifier::Reference,
            prototypes: Prototypes::PerWay,
        }),
        episode: shape,
    };
    let net = FewShotNet::new(&network, 0, &device.clone().autodiff());
    let images = Tensor::random(
        [shape.images(), 3, 84, 84],
        burn::tensor::Distribution::Normal(0.0, 1.0),
        &device,
    );

    let norm = BatchNormMode::Running;
    let segments = network.backbone.segments(Segment::Block);
    let embeddings: [(&str, Rc<dyn Embed>); 3] = [
        ("plain", Rc::new(Plain { norm })),
        ("recompute", Rc::new(Recompute { segments, nested: false, norm })),
        ("4 micro-batches", Rc::new(MicroBatch { steps: 4, inner: Rc::new(Plain { norm }), norm })),
    ];
    for (name, embedding) in embeddings {
        let mut step = Backward { objective: Objective::default(), embedding, head_last: false };
        let mut state = StageState::default();
        let before = current_bytes();
        reset_peak();
        let episode = Episode { images: images.clone(), shape, labels: None };
        let mut cx = StepContext::new(&mut state);
        let grads = step.grads(&net, episode, &mut cx)?;
        let took = peak_bytes().saturating_sub(before) as u64;
        println!(
            "{name:16} loss {:.5}  gradient norm {:.5}  peak {}",
            grads.terms[0].loss,
            grads.gradients.global_norm(&net),
            bytes(took),
        );
    }
    Ok(())
}
