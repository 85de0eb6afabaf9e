use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{self, Factors};
use crate::model::kernel::adamw::{AdamwOps, Update, Updated};
use crate::model::kernel::cube::tensor::row_major;

impl AdamwOps for Cube {
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        update: Update,
    ) -> Updated<Self> {
        let [parameter, first, second] = [parameter, first, second].map(own);
        let gradient = row_major(gradient);
        let factors = Factors {
            rate: update.rate,
            kept: 1.0 - update.rate * update.weight_decay,
            betas: update.betas,
            corrections: update.betas.map(|beta| 1.0 - beta.powi(update.time)),
            epsilon: update.epsilon,
        };
        launch::adamw(
            &parameter.client,
            &parameter.handle,
            &gradient.handle,
            [&first.handle, &second.handle],
            parameter.meta.num_elements(),
            factors,
        );
        (parameter, first, second)
    }
}

/// Row-major and nobody else's, so that it can be written to.
fn own(tensor: CubeTensor) -> CubeTensor {
    let tensor = row_major(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}
