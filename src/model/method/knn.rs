//! The nearest support images of each query vote (Cover and Hart, IEEE Transactions on Information Theory
//! 1967).

use burn::prelude::*;

use super::HeadOutput;
use super::vectors::{euclidean, unit};
use crate::model::layers::{product, to_f32, to_host};
use crate::model::mahalanobis::squared_distances;
use crate::network::{Distance, EpisodeShape, KnnSpec};

/// Logit between a class and the next, of equally many votes. Another vote counts more: of up to 1000 neighbours
/// it raises a logit by 1e-3 or more.
const TIE: f64 = 1e-3;

/// Logits are logarithms of probabilities `(votes + 1/n_way) / (k + 1)`: as if one more neighbour had voted for all
/// classes alike, so that none is impossible.
///
/// Of equally near images the earlier one in the support is nearer. Of classes with equally many votes the one
/// with the nearest neighbour wins: its logit is larger by less than 0.001. It has no gradient.
#[derive(Module, Debug)]
pub struct Knn {
    #[module(skip)]
    spec: KnnSpec,
}

impl Knn {
    /// A head with this number of neighbours and this distance.
    pub fn new(spec: KnnSpec) -> Self {
        Self { spec }
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let device = query.device();
        let (support, query) = (to_f32(support), to_f32(query));
        let [queries, _] = query.dims();
        let distances = match self.spec.distance {
            Distance::Euclidean => euclidean(query, support),
            Distance::Cosine | Distance::ScaledCosine => {
                -product(unit(query), unit(support).transpose())
            }
            Distance::Mahalanobis => squared_distances(query, support.clone(), support),
        };
        let distances = to_host(distances);
        let rows = distances.chunks_exact(shape.supports());
        let logits: Vec<f32> =
            rows.flat_map(|row| logits(row, self.spec.neighbors, shape)).collect();
        let logits = TensorData::new(logits, [queries, shape.n_way]);
        HeadOutput::of(Tensor::from_data(logits, &device))
    }
}

/// Logits of a query with these distances to the support. All images vote where there are fewer than `neighbors`.
fn logits(distances: &[f32], neighbors: usize, shape: EpisodeShape) -> Vec<f32> {
    let mut order: Vec<usize> = (0..distances.len()).collect();
    // A stable sort: of equals the earlier one stays first.
    order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
    order.truncate(neighbors);
    let ways = shape.n_way as f64;
    let (mut votes, mut first) = (vec![0.0; shape.n_way], vec![order.len(); shape.n_way]);
    for (rank, image) in order.iter().enumerate() {
        let class = image / shape.k_shot;
        votes[class] += 1.0;
        first[class] = first[class].min(rank);
    }
    // Classes with a nearer neighbour. Those without votes have as many.
    let place = |class: usize| first.iter().filter(|other| **other < first[class]).count() as f64;
    let logit = |class: usize| {
        let probability = (votes[class] + 1.0 / ways) / (order.len() as f64 + 1.0);
        (probability.ln() - TIE * place(class) / ways) as f32
    };
    (0..shape.n_way).map(logit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: EpisodeShape = EpisodeShape { n_way: 3, k_shot: 2, n_query: 1 };

    fn probabilities(distances: &[f32], neighbors: usize) -> Vec<f32> {
        logits(distances, neighbors, SHAPE).into_iter().map(f32::exp).collect()
    }

    fn near(found: &[f32], expected: [f32; 3]) {
        let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-3, "{found:?} for {expected:?}");
    }

    #[test]
    fn votes_are_counted_with_one_more_for_all() {
        // Of the three nearest, two are of the last class and one of the first.
        let found = probabilities(&[0.3, 0.9, 0.8, 0.7, 0.2, 0.1], 3);
        let third = 1.0 / 3.0;
        near(&found, [(1.0 + third) / 4.0, third / 4.0, (2.0 + third) / 4.0]);
    }

    #[test]
    fn of_equal_votes_the_nearest_wins_and_of_equal_distances_the_first() {
        let best = |distances: &[f32], neighbors| {
            let found = logits(distances, neighbors, SHAPE);
            (0..3).reduce(|best, at| if found[at] > found[best] { at } else { best })
        };
        assert_eq!(best(&[0.9, 0.3, 0.1, 0.8, 0.2, 0.9], 3), Some(1));
        assert_eq!(best(&[0.9, 0.3, 0.4, 0.8, 0.2, 0.9], 3), Some(2));
        assert_eq!(best(&[0.5; 6], 1), Some(0));
        // More neighbours than images.
        assert_eq!(best(&[0.9, 0.3, 0.1, 0.8, 0.2, 0.9], 50), Some(1));
    }
}
