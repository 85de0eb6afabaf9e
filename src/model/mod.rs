//! Networks: images → features → logits. Built from [`crate::network`] with `burn`; never imports
//! [`crate::config`].
//!
//! A [`FewShotNet`] is a [`Backbone`] and a [`Head`]. The training step is cut in two between them (see
//! [`crate::stage`]): everything that couples the images of an episode is differentiated at the
//! features, so that the backbone's part can be done in pieces.

pub mod attention;
pub mod backbone;
pub mod cosine;
mod episode;
pub mod init;
pub mod kernel;
pub mod layers;
pub mod lbfgs;
pub mod mahalanobis;
pub mod method;
pub mod names;
pub mod norm;
pub mod prototypes;
pub mod rows;
pub mod weights;

use burn::prelude::*;

pub use backbone::Backbone;
pub use method::{Head, HeadOutput};
pub use norm::{Moments, Norm, Sample};

pub use crate::network::EpisodeShape;

use crate::network::Network;
use init::Init;

/// A backbone with a few-shot method on top.
#[derive(Module, Debug)]
pub struct FewShotNet {
    /// Images → feature maps.
    pub backbone: Backbone,
    /// Feature maps of an episode → logits.
    pub head: Head,
}

impl FewShotNet {
    /// A new network. The same seed gives the same weights on every device.
    pub fn new(network: &Network, seed: u64, device: &Device) -> Self {
        let Network { backbone, head, episode } = network;
        let mut init = Init::new(seed, device);
        let features = backbone.features();
        let backbone = Backbone::new(backbone, &mut init);
        Self { backbone, head: Head::new(head, features, *episode, &mut init) }
    }

    /// Logits of an episode.
    ///
    /// # Shapes
    /// - `images`: `[n_way · (k_shot + n_query), channels, height, width]`
    /// - logits: `[Q, n_way]`
    pub fn forward(&self, images: Tensor<4>, shape: EpisodeShape, norm: &mut Norm) -> HeadOutput {
        let features = self.backbone.forward(images, norm);
        let (support, query) = shape.split(features);
        self.head.forward(support, query, shape)
    }

    /// Number of values that training changes; running statistics are not among them.
    pub fn trained_parameters(&self) -> usize {
        struct Count(usize);
        impl burn::module::ModuleVisitor for Count {
            fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
                if param.val().is_require_grad() {
                    self.0 += param.val().shape().num_elements();
                }
            }
        }
        let mut count = Count(0);
        self.visit(&mut count);
        count.0
    }

    /// Applies the batch statistics of one forward pass to the running statistics, those of the head last.
    pub fn update_running(&mut self, moments: &[Moments]) {
        let mut norms = self.backbone.norms_mut();
        norms.extend(self.head.norms_mut());
        assert_eq!(norms.len(), moments.len(), "one pair of moments for each batch norm");
        for (norm, moments) in norms.into_iter().zip(moments) {
            norm.update_running(moments);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::network::{
        Alignment, Attention, BackboneSpec, Block, Classifier, CtxSpec, Distance, FsctSpec,
        HeadSpec, Prototypes, Trunk, VitSize,
    };

    const TINY: VitSize = VitSize { width: 24, depth: 2, heads: 3 };

    fn fsct(attention: Attention, prototypes: Prototypes) -> HeadSpec {
        HeadSpec::Fsct(FsctSpec {
            attention,
            depth: 1,
            heads: 2,
            dim_head: 4,
            mlp_dim: 8,
            classifier: Classifier::Reference,
            prototypes,
        })
    }

    #[test]
    fn a_network_has_the_shapes_and_parameters_of_its_description() {
        let image = [3, 40, 40];
        let backbones = [
            BackboneSpec::conv(4, [1, 40, 40]),
            BackboneSpec::conv(6, image),
            BackboneSpec::conv_np(4, image),
            BackboneSpec::conv_np(6, [1, 40, 40]),
            BackboneSpec::resnet([2, 1, 1, 1], Trunk::Feti, image),
            BackboneSpec::resnet([2, 2, 2, 2], Trunk::Torchvision, image),
            BackboneSpec::resnet([3, 4, 6, 3], Trunk::Torchvision, image),
            BackboneSpec::resnet([2, 2, 2, 2], Trunk::Feti, image),
            BackboneSpec::vit(TINY, 10, 0, image),
            BackboneSpec::vit(TINY, 10, 2, image),
        ];
        let ctx =
            CtxSpec { attention: Attention::Cosine, dim_attn: 128, alignment: Alignment::Sum };
        let heads = [
            fsct(Attention::Cosine, Prototypes::PerWay),
            fsct(Attention::Cosine, Prototypes::Shared),
            fsct(Attention::Softmax, Prototypes::PerWay),
            HeadSpec::Ctx(ctx),
            HeadSpec::Protonet(Distance::Euclidean),
        ];
        let episode = EpisodeShape { n_way: 5, k_shot: 2, n_query: 3 };
        let device = Device::flex();
        for backbone in &backbones {
            let [channels, height, width] = backbone.image();
            for head in &heads {
                let (backbone, head) = (backbone.clone(), head.clone());
                let network = Network { backbone, head, episode };
                let net = FewShotNet::new(&network, 0, &device.clone().autodiff());
                let counted =
                    network.backbone.blocks().iter().map(Block::parameters).sum::<usize>()
                        + network.head_layers().iter().map(|it| it.parameters).sum::<usize>();
                assert_eq!(counted, net.trained_parameters(), "{network:?}");
                if network.head != HeadSpec::Protonet(Distance::Euclidean) {
                    continue;
                }
                let images = Tensor::zeros([1, channels, height, width], &device);
                let features = net.backbone.off_tape().forward(images, &mut Norm::Running);
                let [_, channels, height, width] = features.dims();
                assert_eq!([channels, height, width], network.backbone.features(), "{network:?}");
            }
        }
    }
}
