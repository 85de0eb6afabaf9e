//! Networks: images → features → logits. Knows `burn`, never [`crate::config`].
//!
//! A [`FewShotNet`] is a [`Backbone`] and a [`Head`]. The seam between them is where the training
//! step is cut in two (see [`crate::stage`]): whatever the head couples over an episode is
//! differentiated at the features, so that the backbone's part may be done in pieces.

pub mod attention;
pub mod backbone;
pub mod cosine;
pub mod init;
pub mod kernel;
pub mod layers;
pub mod mahalanobis;
pub mod method;
pub mod names;
pub mod norm;
pub mod prototypes;
pub mod weights;

use burn::prelude::*;

pub use backbone::{Backbone, BackboneSpec, Segment};
pub use method::{Head, HeadOutput, HeadSpec};
pub use norm::{Moments, Norm};

use init::Init;

/// Shape of an episode's batch: `n_way` classes, each with `k_shot` support images followed by
/// `n_query` query images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodeShape {
    /// Classes.
    pub n_way: usize,
    /// Support images a class.
    pub k_shot: usize,
    /// Query images a class.
    pub n_query: usize,
}

impl EpisodeShape {
    /// Images in the episode.
    pub fn images(&self) -> usize {
        self.n_way * (self.k_shot + self.n_query)
    }

    /// Query images in the episode, the `Q` of the papers.
    pub fn queries(&self) -> usize {
        self.n_way * self.n_query
    }

    /// Splits an episode's rows into support and query.
    ///
    /// # Shapes
    /// - `rows`: `[n_way · (k_shot + n_query), ..]`, support first within a class
    /// - output: `[n_way · k_shot, ..]` and `[n_way · n_query, ..]`, both by class
    pub fn split(&self, rows: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [_, channels, height, width] = rows.dims();
        let per_class = self.k_shot + self.n_query;
        let rows = rows.reshape([self.n_way, per_class, channels * height * width]);
        let part = |range: std::ops::Range<usize>| {
            let count = self.n_way * range.len();
            rows.clone().slice([0..self.n_way, range]).reshape([count, channels, height, width])
        };
        (part(0..self.k_shot), part(self.k_shot..per_class))
    }

    /// The true class of each query, by class: `[0, 0, …, n_way − 1]` of length `Q`.
    pub fn targets(&self, device: &Device) -> Tensor<1, Int> {
        let classes: Vec<i64> = (0..self.n_way)
            .flat_map(|class| std::iter::repeat_n(class as i64, self.n_query))
            .collect();
        Tensor::from_data(TensorData::new(classes, [self.queries()]), device)
    }
}

/// What a [`FewShotNet`] is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct NetSpec {
    /// Images → features.
    pub backbone: BackboneSpec,
    /// Features → logits.
    pub head: HeadSpec,
    /// Height and width of an image, pixels.
    pub image_size: usize,
    /// Ways and shots that the head is made for.
    pub episode: EpisodeShape,
}

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
    pub fn new(spec: &NetSpec, seed: u64, device: &Device) -> Self {
        let mut init = Init::new(seed, device);
        let backbone = spec.backbone.init(&mut init);
        let features = spec.backbone.feature_shape(spec.image_size);
        let head = spec.head.init(features, spec.episode, &mut init);
        Self { backbone, head }
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

    /// Values that training moves; running statistics are not among them.
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

    /// Applies the batch statistics of one forward pass to the running statistics.
    pub fn update_running(&mut self, moments: &[Moments]) {
        let norms = self.backbone.norms_mut();
        assert_eq!(norms.len(), moments.len(), "one pair of moments for each batch norm");
        for (norm, moments) in norms.into_iter().zip(moments) {
            norm.update_running(moments);
        }
    }
}
