//! Variance, invariance and covariance terms: VICReg (Bardes, Ponce and LeCun, ICLR 2022) as
//! ProFONet and ProFOCT use it on the support features of an episode.

use burn::prelude::*;
use burn::tensor::activation::relu;

use super::weights::{Dynamic, VicWeights};
use crate::model::layers::{mean, product, to_f32, total};
use crate::model::prototypes::prototypes;
use crate::network::{CovarianceForm, EpisodeShape};

/// VIC regularisation, as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Vic {
    /// Weights at the start.
    pub initial: VicWeights,
    /// How the weights move, if they do.
    pub dynamic: Option<Dynamic>,
    /// Standard deviation below which a feature is penalised.
    pub variance_target: f64,
    /// Added to a variance before its root.
    pub variance_eps: f64,
    /// Whether the invariance term is computed; the reference leaves it at 0.
    pub invariance: bool,
    /// How the covariance term is computed; both forms give the same number.
    pub covariance: CovarianceForm,
    /// What the covariance term is divided by.
    pub covariance_scale: CovarianceScale,
    /// The same terms on the transformer's output.
    pub on_attention: Option<OnAttention>,
}

/// What the sum of squared covariances is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CovarianceScale {
    /// The number of features `d`, as VICReg and the reference have it. With few samples the term
    /// grows like `(d − 1)/(n − 1)` even for independent features.
    Features,
    /// Its expectation for independent unit features, `d (d − 1)/(n − 1)`: 1 means "no more
    /// correlated than chance", at every width and shot.
    Chance,
}

/// VIC on the transformer's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnAttention {
    /// Factor on its terms.
    pub scale: f64,
    /// Cut its gradient, as the reference does.
    pub detach: bool,
}

/// The three terms before their weights, each `[1]`.
pub struct VicTerms {
    /// The variance term, a scalar.
    pub variance: Tensor<1>,
    /// The invariance term, a scalar.
    pub invariance: Tensor<1>,
    /// The covariance term, a scalar.
    pub covariance: Tensor<1>,
}

impl VicTerms {
    /// Adds term by term.
    pub fn plus(self, other: Self) -> Self {
        Self {
            variance: self.variance + other.variance,
            invariance: self.invariance + other.invariance,
            covariance: self.covariance + other.covariance,
        }
    }
}

impl Vic {
    /// The terms of the support features.
    ///
    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `prototype_weight`: `[n_way or 1, k_shot, 1]`; plain means without it
    pub fn terms(
        &self,
        support: Tensor<2>,
        prototype_weight: Option<Tensor<3>>,
        shape: EpisodeShape,
    ) -> VicTerms {
        let support = to_f32(support);
        let invariance = if self.invariance {
            let weight = prototype_weight
                .unwrap_or_else(|| Tensor::zeros([1, shape.k_shot, 1], &support.device()));
            invariance(
                support.clone(),
                prototypes(support.clone(), weight, shape.n_way),
                shape.k_shot,
            )
        } else {
            Tensor::zeros([1], &support.device())
        };
        VicTerms {
            variance: variance(support.clone(), self.variance_target, self.variance_eps),
            invariance,
            covariance: self.covariance_term(support),
        }
    }

    /// The variance and covariance terms of the transformer's output, its classes and queries as
    /// samples.
    ///
    /// # Shapes
    /// - `attended`: `[Q, n_way, dim]`
    pub fn terms_on_attention(&self, attended: Tensor<3>, attention: &OnAttention) -> VicTerms {
        let attended = if attention.detach { attended.detach() } else { attended };
        let [queries, n_way, dim] = attended.dims();
        let rows = attended.reshape([queries * n_way, dim]);
        let scale = attention.scale;
        VicTerms {
            invariance: Tensor::zeros([1], &rows.device()),
            variance: variance(rows.clone(), self.variance_target, self.variance_eps) * scale,
            covariance: self.covariance_term(rows) * scale,
        }
    }

    fn covariance_term(&self, features: Tensor<2>) -> Tensor<1> {
        let [samples, dim] = features.dims();
        let sum = match self.covariance {
            CovarianceForm::Gram => covariance_gram(features),
            CovarianceForm::Dense => covariance_dense(features),
        };
        match self.covariance_scale {
            CovarianceScale::Features => sum / dim as f64,
            CovarianceScale::Chance => {
                sum * (samples.saturating_sub(1) as f64 / (dim * (dim - 1).max(1)) as f64)
            }
        }
    }
}

/// Variance hinge: mean over the features of `relu(target − √(var + eps))`, unbiased variance.
///
/// # Shapes
/// - `features`: `[n, dim]`
/// - output: `[1]`
pub fn variance(features: Tensor<2>, target: f64, eps: f64) -> Tensor<1> {
    let [samples, _] = features.dims();
    let centred = features.clone() - features.mean_dim(0);
    let variance = centred.square().sum_dim(0) / degrees_of_freedom(samples);
    mean(relu(-((variance + eps).sqrt() - target)))
}

/// Mean squared distance, a feature, of the support to its prototype.
///
/// # Shapes
/// - `support`: `[n_way · k_shot, dim]`, by class
/// - `prototypes`: `[n_way, dim]`
/// - output: `[1]`
pub fn invariance(support: Tensor<2>, prototypes: Tensor<2>, k_shot: usize) -> Tensor<1> {
    let [n_way, dim] = prototypes.dims();
    let support = support.reshape([n_way, k_shot, dim]);
    mean((support - prototypes.unsqueeze_dim(1)).square())
}

/// `Σ_{i≠j} cov_ij²` from the n×n Gram matrix.
///
/// `‖ZcᵀZc‖_F = ‖ZcZcᵀ‖_F`, so the d×d matrix is never formed: at `d = 25088` it is 2.35 GiB and
/// the Gram matrix of 25 support images 2.5 kB.
///
/// # Shapes
/// - `features`: `[n, dim]`
/// - output: `[1]`
pub fn covariance_gram(features: Tensor<2>) -> Tensor<1> {
    let [samples, _] = features.dims();
    let freedom = degrees_of_freedom(samples);
    let centred = features.clone() - features.mean_dim(0);
    let gram = product(centred.clone(), centred.clone().transpose()) / freedom;
    let variances = centred.square().sum_dim(0) / freedom;
    total(gram.square()) - total(variances.square())
}

/// `Σ_{i≠j} cov_ij²` from the d×d covariance matrix, as the reference computes it.
///
/// # Shapes
/// - `features`: `[n, dim]`
/// - output: `[1]`
pub fn covariance_dense(features: Tensor<2>) -> Tensor<1> {
    let [samples, dim] = features.dims();
    let centred = features.clone() - features.mean_dim(0);
    let covariance = product(centred.clone().transpose(), centred) / degrees_of_freedom(samples);
    let diagonal = Tensor::<2>::eye(dim, &covariance.device());
    total((covariance * (-diagonal + 1.0)).square())
}

/// One sample has no variance; dividing by 1 leaves its zeros zero.
fn degrees_of_freedom(samples: usize) -> f64 {
    samples.saturating_sub(1).max(1) as f64
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tolerance;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn features(samples: usize, dim: usize, seed: u64) -> TensorData {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values: Vec<f32> = (0..samples * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        TensorData::new(values, [samples, dim])
    }

    fn value_and_gradient(
        data: &TensorData,
        covariance: fn(Tensor<2>) -> Tensor<1>,
    ) -> (TensorData, TensorData) {
        let device = Device::flex().autodiff();
        let leaf = Tensor::<2>::from_data(data.clone(), &device).require_grad();
        let value = covariance(leaf.clone());
        let gradient = leaf.grad(&value.backward()).unwrap();
        (value.into_data(), gradient.into_data())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Values and gradients agree to f32 rounding, for n ≥ d and n < d.
        #[test]
        fn gram_equals_dense(samples in 2usize..40, dim in 2usize..60, seed in any::<u64>()) {
            let data = features(samples, dim, seed);
            let (gram, gram_gradient) = value_and_gradient(&data, covariance_gram);
            let (dense, dense_gradient) = value_and_gradient(&data, covariance_dense);
            let tolerance = Tolerance::<f32>::rel_abs(1e-3, 1e-4);
            gram.assert_approx_eq(&dense, tolerance);
            gram_gradient.assert_approx_eq(&dense_gradient, tolerance);
        }
    }

    #[test]
    fn variance_hinge_is_zero_only_above_its_target() {
        let device = Device::flex();
        let spread = Tensor::<2>::from_floats([[-2.0], [2.0]], &device);
        assert_eq!(variance(spread, 1.0, 0.0).into_scalar::<f32>(), 0.0);
        let collapsed = Tensor::<2>::zeros([4, 3], &device);
        assert_eq!(variance(collapsed, 1.0, 0.0).into_scalar::<f32>(), 1.0);
    }

    #[test]
    fn the_reference_hinge_never_bites() {
        let device = Device::flex();
        let collapsed = Tensor::<2>::zeros([4, 3], &device);
        assert!(variance(collapsed, 1e-4, 1e-8).into_scalar::<f32>() < 1e-10);
    }

    #[test]
    fn invariance_measures_the_spread_within_a_class() {
        let device = Device::flex();
        let support =
            Tensor::<2>::from_floats([[0.0, 0.0], [2.0, 2.0], [5.0, 5.0], [5.0, 5.0]], &device);
        let means = Tensor::<2>::from_floats([[1.0, 1.0], [5.0, 5.0]], &device);
        assert_eq!(invariance(support, means, 2).into_scalar::<f32>(), 0.5);
    }
}
