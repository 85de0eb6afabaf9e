//! Models on the same episodes: is the difference more than chance?

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 10_000;
/// Seed of the bootstrap: the same answers give the same interval.
const SEED: u64 = 600;

/// Whether each query was answered rightly, by episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// What the user called the model.
    pub name: String,
    /// By episode and query.
    pub right: Vec<Vec<bool>>,
    /// Digest of the questions, where they were read from a file; the same for the same ones.
    pub asked: u64,
}

/// How two models differ on the same episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Name of the first model.
    pub a: String,
    /// Name of the second model.
    pub b: String,
    /// Number of episodes that both answered.
    pub episodes: usize,
    /// Mean accuracy of each.
    pub accuracy: [f64; 2],
    /// Mean over episodes of the second's accuracy less the first's.
    pub difference: f64,
    /// Half-width of its 95 % interval: `1.96 · σ / √episodes`, σ of the differences with
    /// `episodes − 1` degrees of freedom.
    pub ci95: f64,
    /// The middle 95 % of the mean difference over 10,000 resamples of the episodes.
    pub bootstrap95: [f64; 2],
    /// Queries that only the first, and only the second, answered rightly.
    pub only: [usize; 2],
    /// McNemar's test on those: exact below 25 of them, else χ² with continuity correction.
    pub mcnemar_p: f64,
    /// That p-value corrected for the number of pairs that are compared (Holm, 1979), where there
    /// is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holm_p: Option<f64>,
}

/// Two models that were not asked the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// Name of the first model.
    pub a: String,
    /// Name of the second model.
    pub b: String,
    /// How their questions differ.
    pub reason: String,
}

/// Compares every pair of models.
///
/// # Errors
/// The first pair that was not asked the same.
pub fn compare_all(answers: &[Answers]) -> Result<Vec<Comparison>, Unlike> {
    let pairs = answers.iter().enumerate();
    let pairs = pairs.flat_map(|(index, a)| answers[index + 1..].iter().map(move |b| (a, b)));
    compare_pairs(pairs.collect())
}

/// Compares a model with each of some others.
///
/// # Errors
/// The first of them that was not asked the same.
pub fn compare_with(a: &Answers, others: &[Answers]) -> Result<Vec<Comparison>, Unlike> {
    compare_pairs(others.iter().map(|b| (a, b)).collect())
}

fn compare_pairs(pairs: Vec<(&Answers, &Answers)>) -> Result<Vec<Comparison>, Unlike> {
    let compared: Vec<Result<Comparison, Unlike>> =
        pairs.into_par_iter().map(|(a, b)| Comparison::of(a, b)).collect();
    let mut all = compared.into_iter().collect::<Result<Vec<_>, _>>()?;
    if all.len() > 1 {
        let corrected = holm(&all.iter().map(|it| it.mcnemar_p).collect::<Vec<_>>());
        for (comparison, p) in all.iter_mut().zip(corrected) {
            comparison.holm_p = Some(p);
        }
    }
    Ok(all)
}

/// Holm's step-down correction: the k-th smallest of n p-values times n − k + 1, no smaller than
/// the one before it and no larger than 1.
pub(crate) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max(p_values[index] * (p_values.len() - rank) as f64).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

/// How the questions of two models differ, if they do.
fn unlike(a: &Answers, b: &Answers) -> Option<String> {
    let (a_count, b_count) = (a.right.len(), b.right.len());
    if a_count != b_count || a_count == 0 {
        return Some(format!("{a_count} and {b_count} of them"));
    }
    let queries = |answers: &Answers| answers.right.iter().map(Vec::len).collect::<Vec<_>>();
    let (a_queries, b_queries) = (queries(a), queries(b));
    let pairs = a_queries.iter().zip(&b_queries).enumerate();
    if let Some((episode, (a, b))) = pairs.into_iter().find(|(_, (a, b))| a != b || **a == 0) {
        return Some(format!("episode {episode} has {a} and {b} queries"));
    }
    (a.asked != b.asked).then(|| "their queries are other images".into())
}

impl Comparison {
    /// Compares two models.
    ///
    /// # Errors
    /// They were not asked the same.
    pub fn of(a: &Answers, b: &Answers) -> Result<Self, Unlike> {
        if let Some(reason) = unlike(a, b) {
            return Err(Unlike { a: a.name.clone(), b: b.name.clone(), reason });
        }
        let share =
            |right: &Vec<bool>| right.iter().filter(|it| **it).count() as f64 / right.len() as f64;
        let shares: Vec<[f64; 2]> =
            a.right.iter().zip(&b.right).map(|(a, b)| [share(a), share(b)]).collect();
        let differences: Vec<f64> = shares.iter().map(|[a, b]| b - a).collect();
        let count = shares.len() as f64;
        let difference = differences.iter().sum::<f64>() / count;
        let squares: f64 = differences.iter().map(|it| (it - difference).powi(2)).sum();
        let pairs = || a.right.iter().flatten().zip(b.right.iter().flatten());
        let only = [
            pairs().filter(|(a, b)| **a && !**b).count(),
            pairs().filter(|(a, b)| !**a && **b).count(),
        ];
        Ok(Self {
            a: a.name.clone(),
            b: b.name.clone(),
            episodes: shares.len(),
            accuracy: [0, 1].map(|at| shares.iter().map(|it| it[at]).sum::<f64>() / count),
            difference,
            ci95: 1.96 * (squares / (count - 1.0).max(1.0) / count).sqrt(),
            bootstrap95: bootstrap(&differences),
            only,
            mcnemar_p: mcnemar(only),
            holm_p: None,
        })
    }
}

/// How two models differ that were each trained several times, on the same episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Repeated {
    /// Mean over repetitions and episodes of the second's accuracy less the first's.
    pub difference: f64,
    /// The middle 95 % of that mean over 10,000 resamples of both the repetitions and the episodes.
    pub bootstrap95: [f64; 2],
    /// Share of those resamples on the other side of zero, twice: a two-sided p-value.
    pub p: f64,
    /// Number of repetitions that both have.
    pub repetitions: usize,
    /// Number of episodes of each.
    pub episodes: usize,
}

impl Repeated {
    /// From the difference of each episode, by repetition; `None` where there is none, or where their
    /// numbers of episodes differ.
    pub fn of(differences: &[Vec<f64>]) -> Option<Self> {
        let repetitions = differences.len();
        let episodes = differences.first()?.len();
        if episodes == 0 || differences.iter().any(|it| it.len() != episodes) {
            return None;
        }
        let count = (repetitions * episodes) as f64;
        let mut means: Vec<f64> = (0..RESAMPLES as u64)
            .into_par_iter()
            .map(|resample| {
                let mut rng = ChaCha8Rng::seed_from_u64(SEED);
                rng.set_stream(resample);
                let drawn: Vec<&Vec<f64>> = (0..repetitions)
                    .map(|_| &differences[rng.random_range(0..repetitions)])
                    .collect();
                // The episodes are the same in every repetition, so they are drawn once for all.
                let sum: f64 = (0..episodes)
                    .map(|_| {
                        let episode = rng.random_range(0..episodes);
                        drawn.iter().map(|repetition| repetition[episode]).sum::<f64>()
                    })
                    .sum();
                sum / count
            })
            .collect();
        let beyond = |is: fn(f64) -> bool| means.iter().filter(|mean| is(**mean)).count();
        let least = beyond(|mean| mean <= 0.0).min(beyond(|mean| mean >= 0.0));
        let p = (2.0 * (least + 1) as f64 / (RESAMPLES + 1) as f64).min(1.0);
        means.sort_by(f64::total_cmp);
        Some(Self {
            difference: differences.iter().flatten().sum::<f64>() / count,
            bootstrap95: [means[RESAMPLES / 40], means[RESAMPLES - 1 - RESAMPLES / 40]],
            p,
            repetitions,
            episodes,
        })
    }
}

fn bootstrap(differences: &[f64]) -> [f64; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let count = differences.len();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = (0..count).map(|_| differences[rng.random_range(0..count)]).sum();
            sum / count as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    [means[RESAMPLES / 40], means[RESAMPLES - 1 - RESAMPLES / 40]]
}

/// Probability of a split of the disagreements at least as uneven, were both models equally good.
fn mcnemar([a, b]: [usize; 2]) -> f64 {
    let count = a + b;
    if count == 0 {
        return 1.0;
    }
    if count < 25 {
        let mut ways = 1.0;
        let mut tail = 0.0;
        for k in 0..=a.min(b) {
            tail += ways;
            ways *= (count - k) as f64 / (k + 1) as f64;
        }
        return (2.0 * tail / 2f64.powi(count as i32)).min(1.0);
    }
    let distance = (a.abs_diff(b) as f64 - 1.0).max(0.0);
    libm::erfc((distance * distance / count as f64 / 2.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `scipy.stats.binomtest(a, a + b)` and statsmodels' `mcnemar(exact=False)`.
    #[test]
    fn mcnemar_is_that_of_the_tables() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} for {b}");
        near(mcnemar([0, 0]), 1.0);
        near(mcnemar([3, 3]), 1.0);
        near(mcnemar([1, 9]), 0.021_484_375);
        near(mcnemar([0, 6]), 0.031_25);
        near(mcnemar([59, 121]), 5.450_094e-6);
        near(mcnemar([40, 40]), 1.0);
    }

    #[test]
    fn a_difference_in_every_episode_is_certain() {
        let answers = |name: &str, right: usize| Answers {
            name: name.into(),
            right: vec![(0..10).map(|at| at < right).collect(); 40],
            asked: 7,
        };
        let comparison = Comparison::of(&answers("a", 5), &answers("b", 7)).unwrap();
        assert!((comparison.difference - 0.2).abs() < 1e-12);
        assert!(comparison.ci95 < 1e-12 && comparison.mcnemar_p < 1e-6);
        assert_eq!(comparison.only, [0, 80]);
        let [low, high] = comparison.bootstrap95;
        assert!((low - 0.2).abs() < 1e-12 && (high - 0.2).abs() < 1e-12);
        let other = Answers { asked: 8, ..answers("c", 5) };
        assert!(Comparison::of(&answers("a", 5), &other).unwrap_err().reason.contains("images"));
        let fewer = Answers { right: vec![vec![true]], ..answers("d", 5) };
        let unlike = compare_all(&[answers("a", 5), fewer]).unwrap_err();
        assert_eq!((unlike.a.as_str(), unlike.b.as_str()), ("a", "d"));
        assert_eq!(unlike.reason, "40 and 1 of them");

        let all = compare_all(&[answers("a", 5), answers("b", 7), answers("c", 5)]).unwrap();
        let pairs: Vec<(&str, &str)> =
            all.iter().map(|it| (it.a.as_str(), it.b.as_str())).collect();
        assert_eq!(pairs, [("a", "b"), ("a", "c"), ("b", "c")]);
        assert_eq!(all[1].holm_p, Some(1.0));
        let one = compare_with(&answers("a", 5), &[answers("b", 7), answers("c", 5)]).unwrap();
        assert_eq!(one.len(), 2);
        assert_eq!((one[0].difference, one[0].mcnemar_p), (all[0].difference, all[0].mcnemar_p));
    }

    #[test]
    fn repetitions_widen_the_interval() {
        // Two repetitions that disagree: episodes alone would be certain.
        let apart = Repeated::of(&[vec![0.1; 50], vec![-0.02; 50]]).unwrap();
        assert!((apart.difference - 0.04).abs() < 1e-12);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(apart.bootstrap95[0], -0.02) && near(apart.bootstrap95[1], 0.1), "{apart:?}");
        // Both drawn from the second in a quarter of the resamples.
        assert!((apart.p - 0.5).abs() < 0.05, "{apart:?}");
        let sure = Repeated::of(&[vec![0.1; 50], vec![0.12; 50]]).unwrap();
        assert!(sure.p < 2.1e-4 && sure.bootstrap95[0] > 0.099, "{sure:?}");
        assert_eq!(Repeated::of(&[vec![0.0; 9]]).unwrap().p, 1.0);
        assert_eq!(Repeated::of(&[vec![0.1], vec![0.1, 0.2]]), None);
        assert_eq!(Repeated::of(&[]), None);
    }

    /// From R's `p.adjust(p, "holm")`.
    #[test]
    fn holms_correction_is_that_of_the_tables() {
        let near = |a: &[f64], b: &[f64]| {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} for {b:?}");
        };
        near(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
        near(&holm(&[0.6, 0.7]), &[1.0, 1.0]);
        near(&holm(&[0.2]), &[0.2]);
    }
}
