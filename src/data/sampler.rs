use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dirichlet::{counts, shares};
use super::{DataError, EpisodeIndices, ImageSet};
use crate::config::{Dirichlet, Episode, Episodes, OtherEpisode, Pipeline, QueryDistribution};

/// Which sequence of episodes: with one seed, training, validation and test draw different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Training episodes, from the training split.
    Train,
    /// Validation, the same episodes after each epoch.
    Validate,
    /// Episodes of the final test.
    Test,
}

/// Draws episodes: their ways, shots and queries where those vary, then classes uniformly without
/// replacement, then images of each class the same way.
///
/// An episode depends on the seed, the stream and its number alone, so where a run stands is one
/// integer.
#[derive(Debug, Clone)]
pub struct Sampler {
    set: ImageSet,
    shapes: Episodes,
    seed: [u8; 32],
    /// Numbers of the classes that are drawn from, where some are left out.
    classes: Option<Vec<usize>>,
    distribution: QueryDistribution,
}

impl Sampler {
    /// The episodes of a pipeline's training, validation or test, over `set`.
    ///
    /// # Errors
    /// When the set has too few classes, or classes with too few images; the message names them and
    /// the keys of the pipeline that ask for them.
    pub fn of(set: &ImageSet, pipeline: &Pipeline, stream: Stream) -> Result<Self, DataError> {
        let (shapes, other) = match stream {
            Stream::Train => (pipeline.episode, None),
            Stream::Validate => (pipeline.validate_episode().into(), pipeline.validate.episode),
            Stream::Test => (pipeline.test_episode().into(), pipeline.test.episode),
        };
        let seed = match stream {
            Stream::Test => pipeline.test.seed.unwrap_or(pipeline.seed),
            Stream::Train | Stream::Validate => pipeline.seed,
        };
        let keys = Keys::new(stream, other.unwrap_or_default());
        let distribution = other.unwrap_or_default().query_distribution;
        let sampler = Self::with_keys(set, shapes, seed, stream, &keys)?;
        Ok(Self { distribution, ..sampler })
    }

    /// A sampler over `set`.
    ///
    /// # Errors
    /// When the set has too few classes, or classes with too few images; the message names them.
    pub fn new(
        set: &ImageSet,
        shapes: impl Into<Episodes>,
        seed: u64,
        stream: Stream,
    ) -> Result<Self, DataError> {
        let keys = Keys::new(stream, OtherEpisode::default());
        Self::with_keys(set, shapes.into(), seed, stream, &keys)
    }

    fn with_keys(
        set: &ImageSet,
        shapes: Episodes,
        seed: u64,
        stream: Stream,
        keys: &Keys,
    ) -> Result<Self, DataError> {
        // Every class has the images of the largest episode, so that the shape decides no class.
        let shape = shapes.largest();
        let wanted = shape.k_shot + shape.n_query;
        let large = |class: &&usize| set.classes()[**class].images.len() >= wanted;
        let all: Vec<usize> = (0..set.classes().len()).collect();
        let kept: Vec<usize> = all.iter().filter(large).copied().collect();
        let classes = (set.skips_small_classes() && kept.len() < all.len()).then_some(kept);
        check(set, shape, stream, classes.as_deref(), keys)?;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = match stream {
            Stream::Train => 1,
            Stream::Validate => 2,
            Stream::Test => 3,
        };
        let distribution = QueryDistribution::Uniform;
        Ok(Self { set: set.clone(), shapes, seed: key, classes, distribution })
    }

    /// The episode with this number.
    pub fn episode(&self, number: u64) -> EpisodeIndices {
        let mut rng = ChaCha8Rng::from_seed(self.seed);
        rng.set_stream(number);
        let Episode { n_way, k_shot, n_query } = self.draw_shape(&mut rng);
        let count = self.classes.as_ref().map_or(self.set.classes().len(), Vec::len);
        let mut classes = sample(&mut rng, count, n_way).into_vec();
        if let Some(kept) = &self.classes {
            classes.iter_mut().for_each(|class| *class = kept[*class]);
        }
        let mut episode = EpisodeIndices {
            support: Vec::with_capacity(n_way * k_shot),
            query: Vec::with_capacity(n_way * n_query),
            query_counts: vec![n_query; n_way],
            classes,
        };
        if let QueryDistribution::Dirichlet(Dirichlet { dirichlet }) = self.distribution {
            let images = |class: &usize| self.set.classes()[*class].images.len();
            let room: Vec<usize> =
                episode.classes.iter().map(|class| images(class) - k_shot).collect();
            let shares = shares(dirichlet, n_way, &mut rng);
            episode.query_counts = counts(&shares, n_way * n_query, &room);
        }
        for (class, queries) in episode.classes.iter().zip(&episode.query_counts) {
            let images = &self.set.classes()[*class].images;
            let picked = sample(&mut rng, images.len(), k_shot + queries).into_vec();
            let picked = picked.into_iter().map(|index| images[index]);
            for (place, image) in picked.enumerate() {
                if place < k_shot {
                    episode.support.push(image);
                } else {
                    episode.query.push(image);
                }
            }
        }
        episode
    }

    /// Classes that are left out of episodes, having too few images.
    pub fn skipped_classes(&self) -> usize {
        self.classes.as_ref().map_or(0, |kept| self.set.classes().len() - kept.len())
    }

    /// Seed of what happens to an image in an episode, whichever thread makes it happen.
    pub fn image_seed(&self, number: u64, image: usize) -> [u8; 32] {
        let mut seed = self.seed;
        seed[16..24].copy_from_slice(&number.to_le_bytes());
        seed[24..32].copy_from_slice(&(image as u64).to_le_bytes());
        seed
    }

    /// The shape of an episode. Numbers that do not vary are not drawn.
    fn draw_shape(&self, rng: &mut ChaCha8Rng) -> Episode {
        let mut draw = |least: usize, most: usize| match least < most {
            true => rng.random_range(least..=most),
            false => most,
        };
        let (least, most) = (self.shapes.smallest(), self.shapes.largest());
        Episode {
            n_way: draw(least.n_way, most.n_way),
            k_shot: draw(least.k_shot, most.k_shot),
            n_query: draw(least.n_query, most.n_query),
        }
    }
}

/// The keys of a pipeline that say the ways, shots and queries of a stream.
struct Keys {
    n_way: String,
    k_shot: String,
    n_query: String,
}

impl Keys {
    fn new(stream: Stream, other: OtherEpisode) -> Self {
        let key = |name: &str, is_own: bool| match (stream, is_own) {
            (Stream::Validate, true) => format!("validate.episode.{name}"),
            (Stream::Test, true) => format!("test.episode.{name}"),
            _ => format!("episode.{name}"),
        };
        Self {
            n_way: key("n_way", other.n_way.is_some()),
            k_shot: key("k_shot", other.k_shot.is_some()),
            n_query: key("n_query", other.n_query.is_some()),
        }
    }
}

fn check(
    set: &ImageSet,
    shape: Episode,
    stream: Stream,
    kept: Option<&[usize]>,
    Keys { n_way, k_shot, n_query }: &Keys,
) -> Result<(), DataError> {
    let split = match stream {
        Stream::Train => "base",
        Stream::Validate => "val",
        Stream::Test => "novel",
    };
    let classes = set.classes().len();
    if let Some(kept) = kept {
        if shape.n_way <= kept.len() {
            return Ok(());
        }
        return Err(DataError::pipeline(
            n_way.clone(),
            format!(
                "`{n_way}: {}` asks for more classes than the {} of the {split} split that \
                 `data.skip_small_classes` leaves of {classes}",
                shape.n_way,
                kept.len()
            ),
            format!("lower `{n_way}`, or `{n_query}` so that more classes are large enough"),
        ));
    }
    if classes == 0 {
        let (key, help) = match stream {
            Stream::Train => {
                ("data.root", "name a data set with training classes, or `train.data`")
            }
            Stream::Validate => (
                "validate.episodes",
                "write `validate: {episodes: 0}`, name another data set as `validate.data`, or split \
                 the classes with `data.splits`",
            ),
            Stream::Test => (
                "test.episodes",
                "write `test: {episodes: 0}`, name another data set as `test.data`, or split the \
                 classes with `data.splits`",
            ),
        };
        let message = format!("there is no {split} split: {}", set.absence());
        return Err(DataError::pipeline(key, message, help));
    }
    if shape.n_way > classes {
        return Err(DataError::pipeline(
            n_way.clone(),
            format!(
                "`{n_way}: {}` asks for more classes than the {classes} of the {split} split",
                shape.n_way
            ),
            format!("lower `{n_way}` to {classes} or less, or use a larger data set"),
        ));
    }
    let wanted = shape.k_shot + shape.n_query;
    let small: Vec<_> = set.classes().iter().filter(|it| it.images.len() < wanted).collect();
    let Some(smallest) = small.iter().map(|class| class.images.len()).min() else {
        return Ok(());
    };
    let named: Vec<String> = small
        .iter()
        .take(3)
        .map(|class| format!("`{}` ({})", class.name, class.images.len()))
        .collect();
    let more =
        if small.len() > 3 { format!(" and {} more", small.len() - 3) } else { String::new() };
    let room = smallest.saturating_sub(shape.k_shot);
    Err(DataError::pipeline(
        n_query.clone(),
        format!(
            "`{k_shot}: {}` and `{n_query}: {}` need {wanted} images a class, and \
             {} of the {split} split's {classes} classes have fewer: {}{more}",
            shape.k_shot,
            shape.n_query,
            small.len(),
            named.join(", "),
        ),
        match room {
            0 => format!(
                "lower `{k_shot}` (the smallest class has {smallest} images), or set `data.skip_small_classes: true`"
            ),
            _ => format!(
                "lower `{n_query}` to {room} or less, or set `data.skip_small_classes: true`"
            ),
        },
    ))
}
