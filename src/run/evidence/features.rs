//! Features of novel images: two maps, and how well they use their dimensions.

use burn::prelude::*;

use super::eigen::{Eigen, decompose};
use super::{FeatureEvidence, FeatureHealth, tsne};
use crate::data::ImageSet;
use crate::model::layers::to_host;
use crate::run::RunError;
use crate::run::evaluate::Features;

/// Classes of a map, as many as colours are told apart, and images of each.
const CLASSES: usize = 10;
const IMAGES: usize = 30;
/// Most bytes of features; images are left out beyond them.
const BYTES: usize = 64 << 20;
/// Components of the spectrum that are kept.
const COMPONENTS: usize = 40;
/// A dimension whose deviation is a smaller share of the mean deviation is dead.
const DEAD: f64 = 0.01;

/// Embeds some images of a set and looks at their features.
pub(super) fn features(
    set: &ImageSet,
    features: &Features,
) -> Result<Option<FeatureEvidence>, RunError> {
    let usable: Vec<usize> =
        (0..set.classes().len()).filter(|at| set.classes()[*at].images.len() > 1).collect();
    let classes = spread(&usable, CLASSES);
    let Some(first) = classes.first().and_then(|at| set.classes()[*at].images.first()) else {
        return Ok(None);
    };
    let values = features.of_images(&[*first])?.shape().num_elements();
    let most = (BYTES / (values * size_of::<f32>()).max(1) / classes.len()).clamp(2, IMAGES);
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for (label, class) in classes.iter().enumerate() {
        let chosen = spread(&set.classes()[*class].images, most);
        labels.extend(std::iter::repeat_n(label, chosen.len()));
        images.extend(chosen);
    }
    let names = classes.iter().map(|at| set.classes()[*at].name.clone()).collect();
    let rows: Tensor<2> = features.of_images(&images)?.flatten::<2>(1, 3);
    Ok(look_at(rows, names, labels))
}

/// At most `most` items, evenly spread over the list.
fn spread(all: &[usize], most: usize) -> Vec<usize> {
    let count = all.len().min(most);
    (0..count).map(|at| all[at * all.len() / count]).collect()
}

/// Everything there is to say about features `[images, values]`; nothing where one is not finite.
fn look_at(rows: Tensor<2>, classes: Vec<String>, labels: Vec<usize>) -> Option<FeatureEvidence> {
    let [n, dimensions] = rows.dims();
    let centred = rows.clone() - rows.mean_dim(0);
    let deviations: Vec<f64> = to_host(centred.clone().powi_scalar(2).mean_dim(0).sqrt())
        .into_iter()
        .map(f64::from)
        .collect();
    let gram = to_host(centred.clone().matmul(centred.transpose()));
    let gram: Vec<f64> = gram.into_iter().map(f64::from).collect();
    let Eigen { values, vectors } = decompose(&gram, n)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let variance: f64 = values.iter().map(|it| it.max(0.0)).sum::<f64>().max(f64::MIN_POSITIVE);
    let shares: Vec<f64> = order.iter().map(|at| values[*at].max(0.0) / variance).collect();
    let component = |rank: usize, image: usize| match order.get(rank) {
        Some(at) => vectors[*at][image] * values[*at].max(0.0).sqrt(),
        None => 0.0,
    };
    let pca: Vec<[f64; 2]> = (0..n).map(|at| [component(0, at), component(1, at)]).collect();
    let squared: Vec<f64> = (0..n * n)
        .map(|at| {
            let (i, j) = (at / n, at % n);
            (gram[i * n + i] + gram[j * n + j] - 2.0 * gram[at]).max(0.0)
        })
        .collect();
    let tsne = if n < tsne::LEAST { Vec::new() } else { tsne::map(&squared, &pca) };
    let mean = deviations.iter().sum::<f64>() / dimensions.max(1) as f64;
    let dead = deviations.iter().filter(|it| **it <= DEAD * mean).count();
    let [within, between] = scatter(&squared, &labels, classes.len());
    let share = |rank: usize| shares.get(rank).copied().unwrap_or(0.0);
    Some(FeatureEvidence {
        classes,
        pca_shares: [share(0), share(1)],
        health: FeatureHealth {
            dimensions,
            dead: dead as f64 / dimensions.max(1) as f64,
            effective_rank: effective_rank(&shares),
            greatest_rank: dimensions.min(n.saturating_sub(1)),
            within,
            between,
            spectrum: shares.iter().take(COMPONENTS).map(|it| rounded(*it)).collect(),
        },
        labels,
        pca: pca.iter().map(|it| it.map(rounded)).collect(),
        tsne: tsne.iter().map(|it| it.map(rounded)).collect(),
    })
}

/// Four significant digits: a map has no more.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The exponential of the entropy of the singular values, whose squares are `shares`.
fn effective_rank(shares: &[f64]) -> f64 {
    let singular: Vec<f64> = shares.iter().map(|it| it.sqrt()).collect();
    let sum: f64 = singular.iter().sum();
    let entropy = singular.iter().map(|it| it / sum).filter(|it| *it > 0.0).map(|it| -it * it.ln());
    entropy.sum::<f64>().exp()
}

/// Root mean square distance of images to the mean of their class, and between the means of two classes, from
/// the squared distances of all images.
fn scatter(squared: &[f64], labels: &[usize], classes: usize) -> [f64; 2] {
    let n = labels.len();
    let mut sums = vec![0.0; classes * classes];
    let mut sizes = vec![0.0; classes];
    for (i, a) in labels.iter().enumerate() {
        sizes[*a] += 1.0;
        for (j, b) in labels.iter().enumerate() {
            sums[a * classes + b] += squared[i * n + j];
        }
    }
    // The mean squared distance to a mean is half that of all pairs.
    let inside: Vec<f64> =
        (0..classes).map(|at| sums[at * classes + at] / (2.0 * f64::powi(sizes[at], 2))).collect();
    let within =
        inside.iter().zip(&sizes).map(|(it, size)| it * size).sum::<f64>() / n.max(1) as f64;
    let (mut between, mut pairs) = (0.0, 0.0);
    for a in 0..classes {
        for b in 0..a {
            let pair = sums[a * classes + b] / (sizes[a] * sizes[b]);
            between += (pair - inside[a] - inside[b]).max(0.0);
            pairs += 1.0;
        }
    }
    [within, between / f64::max(pairs, 1.0)].map(f64::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(rows: &[&[f32]], labels: &[usize]) -> FeatureEvidence {
        let values: Vec<f32> = rows.concat();
        let data = TensorData::new(values, [rows.len(), rows[0].len()]);
        let names = (0..=labels[labels.len() - 1]).map(|at| at.to_string()).collect();
        look_at(Tensor::from_data(data, &Device::flex()), names, labels.to_vec()).unwrap()
    }

    #[test]
    fn distances_rank_and_dead_dimensions_are_those_of_the_definitions() {
        // Two classes at (0, 0, 5) and (10, 0, 5), each with images one step up and one down.
        let rows: [&[f32]; 4] =
            [&[0.0, 1.0, 5.0], &[0.0, -1.0, 5.0], &[10.0, 1.0, 5.0], &[10.0, -1.0, 5.0]];
        let evidence = evidence(&rows, &[0, 0, 1, 1]);
        let health = &evidence.health;
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-4, "{a} for {b}");
        near(health.within, 1.0);
        near(health.between, 10.0);
        near(health.dead, 1.0 / 3.0);
        // Singular values 10 and 2: shares 5/6 and 1/6.
        let entropy = -(5.0f64 / 6.0 * (5.0f64 / 6.0).ln() + 1.0 / 6.0 * (1.0f64 / 6.0).ln());
        near(health.effective_rank, entropy.exp());
        near(evidence.pca_shares[0], 100.0 / 104.0);
        near((evidence.pca[0][0] - evidence.pca[2][0]).abs(), 10.0);
        assert!(evidence.tsne.is_empty(), "too few points");
        assert_eq!(health.greatest_rank, 3);
    }

    #[test]
    fn constant_features_are_dead_and_bad_ones_say_nothing() {
        let rows: [&[f32]; 3] = [&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]];
        let health = evidence(&rows, &[0, 0, 1]).health;
        assert_eq!((health.dead, health.within, health.between), (1.0, 0.0, 0.0));
        let data = TensorData::new(vec![f32::NAN, 0.0], [2, 1]);
        let rows = Tensor::from_data(data, &Device::flex());
        assert!(look_at(rows, vec!["a".into()], vec![0, 0]).is_none());
    }

    #[test]
    fn images_are_spread_over_a_list() {
        assert_eq!(spread(&[1, 2, 3, 4, 5, 6], 3), [1, 3, 5]);
        assert_eq!(spread(&[1, 2], 3), [1, 2]);
        assert!(spread(&[], 3).is_empty());
    }
}
