//! The batch of an episode as tensors.

use burn::prelude::*;

use crate::network::EpisodeShape;

impl EpisodeShape {
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
