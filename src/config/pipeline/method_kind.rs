use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::word;

/// Few-shot method: how queries are compared with the supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// Few-shot cosine transformer (IEEE Access 2023, doi 10.1109/ACCESS.2023.3298299).
    Fsct,
    /// FSCT with VIC regularisation of the support features.
    Profoct,
    /// CrossTransformer (Doersch et al., NeurIPS 2020), as the FSCT authors compare with it.
    Ctx,
    /// Prototypical network (Snell et al., NeurIPS 2017): the baseline, without parameters of its
    /// own.
    Protonet,
    /// Matching network (Vinyals et al., NeurIPS 2016) without full context embeddings: attention on all
    /// support images by cosine similarity. It has no parameters of its own.
    Matching,
    /// SimpleShot (Wang et al. 2019, arXiv 1911.04623): nearest centroid of features that are centred
    /// by the training images' mean and L2-normalised.
    Simpleshot,
    /// FEAT (Ye et al., CVPR 2020, arXiv 1812.03664): prototypes that a transformer adapts to each
    /// other, over features that are averaged over the map.
    Feat,
    /// Relation network (Sung et al., CVPR 2018, arXiv 1711.06025): a small convolutional network
    /// compares the map of a query with the summed maps of each class.
    Relation,
    /// Logistic regression on the L2-normalised support features of each episode, as RFS tests (Tian
    /// et al., ECCV 2020, arXiv 2003.11539); it has no gradient, and only tests.
    Logistic,
    /// The nearest support images vote (k-NN); it has no gradient, and only tests.
    Knn,
    /// BD-CSPN (Liu et al., ECCV 2020, arXiv 1911.10713): prototypes rectified by the queries.
    /// Transductive: it sees all queries of an episode at once, and only tests.
    Bdcspn,
    /// LaplacianShot (Ziko et al., ICML 2020, arXiv 2006.15486): near queries get the same class.
    /// Transductive, and only tests.
    Laplacianshot,
    /// α-TIM (Veilleux et al., NeurIPS 2021, arXiv 2204.11181): the information that queries have
    /// about their classes is maximised. Transductive, and only tests.
    Tim,
    /// PT-MAP (Hu et al. 2020, arXiv 2006.03806): optimal transport of the queries to the classes,
    /// which it takes to have equally many. Transductive, and only tests.
    PtMap,
    /// A linear classifier, trained on the support of each test episode (Baseline, Chen et al., ICLR 2019,
    /// arXiv 1904.04232); it has no gradient, and only tests.
    Baseline,
    /// The same with a cosine classifier (Baseline++ of the same paper).
    BaselinePlusPlus,
}

impl MethodKind {
    /// Every method, in the order of the documentation.
    pub const ALL: [Self; 16] = [
        Self::Fsct,
        Self::Profoct,
        Self::Ctx,
        Self::Protonet,
        Self::Matching,
        Self::Simpleshot,
        Self::Feat,
        Self::Relation,
        Self::Logistic,
        Self::Knn,
        Self::Bdcspn,
        Self::Laplacianshot,
        Self::Tim,
        Self::PtMap,
        Self::Baseline,
        Self::BaselinePlusPlus,
    ];

    /// Whether it has weights of its own, which training finds. A method without any can be put on
    /// the backbone of every trained model.
    pub fn has_weights(self) -> bool {
        matches!(self, Self::Fsct | Self::Profoct | Self::Ctx | Self::Feat | Self::Relation)
    }

    /// Whether a loss can be propagated through it to the features.
    pub fn has_gradient(self) -> bool {
        let fits_each_support =
            matches!(self, Self::Logistic | Self::Knn | Self::Baseline | Self::BaselinePlusPlus);
        !fits_each_support && !self.is_transductive()
    }

    /// Whether an answer depends on the other queries of the episode.
    pub fn is_transductive(self) -> bool {
        matches!(self, Self::Bdcspn | Self::Laplacianshot | Self::Tim | Self::PtMap)
    }
}

/// As it is written in YAML.
impl fmt::Display for MethodKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}
