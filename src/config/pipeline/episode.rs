use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    count::Count,
    finding::{Checks, Finding},
    rule::Rule,
};
use crate::network::EpisodeShape;

/// Shape of an episode: `n_way` classes, of each `k_shot` support and `n_query` query images.
///
/// A number may be a range, such as `k_shot: {min: 1, max: 5}`: each training episode then draws its
/// own. Validation and test have the greatest numbers, or those of `validate.episode` and
/// `test.episode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Episodes {
    /// Classes in an episode, 2 or more. Papers report 5.
    pub n_way: Count<2>,
    /// Support images of each class: what the model learns the class from. Papers report 1 and 5.
    pub k_shot: Count<1>,
    /// Query images of each class: what the model is asked about.
    ///
    /// Fewer queries save activation memory and make the gradient noisier.
    pub n_query: Count<1>,
}

impl Default for Episodes {
    fn default() -> Self {
        Episode { n_way: 5, k_shot: 5, n_query: 16 }.into()
    }
}

impl Episodes {
    /// The greatest of every number: the episode that a network and its memory are planned for.
    pub fn largest(&self) -> Episode {
        let Self { n_way, k_shot, n_query } = self;
        Episode { n_way: n_way.max(), k_shot: k_shot.max(), n_query: n_query.max() }
    }

    /// The least of every number.
    pub fn smallest(&self) -> Episode {
        let Self { n_way, k_shot, n_query } = self;
        Episode { n_way: n_way.min(), k_shot: k_shot.min(), n_query: n_query.min() }
    }

    /// Whether episodes have different shapes.
    pub fn varies(&self) -> bool {
        self.largest() != self.smallest()
    }

    /// The ranges that some episodes span; `None` without any.
    pub fn spanning(episodes: impl IntoIterator<Item = Episode>) -> Option<Self> {
        episodes.into_iter().map(Self::from).reduce(|a, b| {
            let ((least, most), (low, high)) =
                ((a.smallest(), a.largest()), (b.smallest(), b.largest()));
            Self {
                n_way: Count::between(least.n_way.min(low.n_way), most.n_way.max(high.n_way)),
                k_shot: Count::between(least.k_shot.min(low.k_shot), most.k_shot.max(high.k_shot)),
                n_query: Count::between(
                    least.n_query.min(low.n_query),
                    most.n_query.max(high.n_query),
                ),
            }
        })
    }
}

/// Ways, shots and queries of one episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Classes of the episode.
    pub n_way: usize,
    /// Support images of each class.
    pub k_shot: usize,
    /// Query images of each class.
    pub n_query: usize,
}

impl Episode {
    /// Images of the episode.
    pub fn images(&self) -> usize {
        self.n_way * (self.k_shot + self.n_query)
    }
}

impl From<Episode> for Episodes {
    fn from(Episode { n_way, k_shot, n_query }: Episode) -> Self {
        Self { n_way: n_way.into(), k_shot: k_shot.into(), n_query: n_query.into() }
    }
}

impl From<Episode> for EpisodeShape {
    fn from(Episode { n_way, k_shot, n_query }: Episode) -> Self {
        Self { n_way, k_shot, n_query }
    }
}

/// The largest episode.
impl From<Episodes> for EpisodeShape {
    fn from(episodes: Episodes) -> Self {
        episodes.largest().into()
    }
}

/// Shape of the episodes where it is not that of training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtherEpisode {
    /// Classes in an episode; as in training where it is not written.
    #[schemars(range(min = 2, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_way: Option<usize>,
    /// Support images of each class; as in training where it is not written.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k_shot: Option<usize>,
    /// Query images of each class; as in training where it is not written.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_query: Option<usize>,
    /// How the n_way · n_query queries are spread over the classes: `uniform`, or `{dirichlet: 2}`.
    ///
    /// `uniform` is the benchmarks' n_query of each class. `dirichlet` draws the shares of the classes
    /// anew for each episode, as "Realistic Evaluation of Transductive Few-Shot Learning" (arXiv
    /// 2204.11181), which takes 2. Methods that see all queries at once gain from even shares.
    pub query_distribution: QueryDistribution,
}

/// How the queries of an episode are spread over its classes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryDistribution {
    /// Each class has n_query queries.
    #[default]
    Uniform,
    /// Shares of the classes from a symmetric Dirichlet distribution.
    #[serde(untagged)]
    Dirichlet(Dirichlet),
}

/// A symmetric Dirichlet distribution of the shares of classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dirichlet {
    /// Concentration α, above 0: 1 makes all shares equally likely, 2 is the papers' choice, and large
    /// values give even shares.
    #[schemars(range(max = 1000), extend("exclusiveMinimum" = 0))]
    pub dirichlet: f64,
}

impl OtherEpisode {
    /// Its numbers, and those of the largest training episode where it has none.
    pub(super) fn over(this: Option<Self>, training: &Episodes) -> Episode {
        let Episode { n_way, k_shot, n_query } = training.largest();
        let other = this.unwrap_or_default();
        Episode {
            n_way: other.n_way.unwrap_or(n_way),
            k_shot: other.k_shot.unwrap_or(k_shot),
            n_query: other.n_query.unwrap_or(n_query),
        }
    }
}

/// Ranges that have no number, and shapes of training, validation and test that a method which is
/// `tied` to one shape cannot have.
pub(super) fn check(
    episode: &Episodes,
    tied: bool,
    [validate, test]: [Option<OtherEpisode>; 2],
    checks: &mut Checks,
) {
    let (least, most) = (episode.smallest(), episode.largest());
    for (name, min, max) in [
        ("n_way", least.n_way, most.n_way),
        ("k_shot", least.k_shot, most.k_shot),
        ("n_query", least.n_query, most.n_query),
    ] {
        let key = format!("episode.{name}");
        if min > max {
            let message = format!("`{key}: {{min: {min}, max: {max}}}` has no number");
            let help = "exchange the two";
            checks.push(
                Finding::new(Rule::EpisodeRange, key, message, help)
                    .label("the least is above the greatest"),
            );
        } else if min < max && tied && name != "n_query" {
            let message = format!("`{key}` varies, and {TIE}");
            let help = "write one number, or `method.prototypes: shared`";
            checks.push(
                Finding::new(Rule::TiedToEpisode, key, message, help).label("a range of numbers"),
            );
        }
    }
    if tied {
        other(most, "validate.episode", validate, checks);
        other(most, "test.episode", test, checks);
    }
}

/// Why a tied model has one shape of episodes.
const TIE: &str = "`method.prototypes: per_way` has a weight for every shot of every way";

fn other(training: Episode, section: &str, other: Option<OtherEpisode>, checks: &mut Checks) {
    let Some(OtherEpisode { n_way, k_shot, .. }) = other else { return };
    for (name, other, own) in
        [("n_way", n_way, training.n_way), ("k_shot", k_shot, training.k_shot)]
    {
        let Some(other) = other.filter(|other| *other != own) else { continue };
        let key = format!("{section}.{name}");
        let message =
            format!("`{key}: {other}` is not the `episode.{name}: {own}` of training, and {TIE}");
        let help = format!(
            "remove it, or train with `method.prototypes: shared` or `episode.{name}: {other}`"
        );
        checks.push(
            Finding::new(Rule::TiedToEpisode, key, message, help)
                .label("the model has other weights"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_span_the_ranges_of_their_numbers() {
        let of = |n_way, k_shot, n_query| Episode { n_way, k_shot, n_query };
        assert_eq!(Episodes::spanning([]), None);
        let spanned = Episodes::spanning([of(3, 2, 5), of(5, 1, 5), of(4, 2, 5)]);
        let expected = Episodes {
            n_way: Count::between(3, 5),
            k_shot: Count::between(1, 2),
            n_query: Count::Fixed(5),
        };
        assert_eq!(spanned, Some(expected));
        assert_eq!((expected.smallest(), expected.largest()), (of(3, 1, 5), of(5, 2, 5)));
        assert_eq!(expected.n_way.to_string(), "3 to 5");
    }
}
