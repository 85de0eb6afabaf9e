use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::{DataError, EpisodeIndices, ImageSet};
use crate::config::Episode;

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

/// Draws episodes: classes uniformly without replacement, then images of each the same way.
///
/// An episode depends on the seed, the stream and its number alone, so where a run stands is one
/// integer.
#[derive(Debug, Clone)]
pub struct Sampler {
    set: ImageSet,
    shape: Episode,
    seed: [u8; 32],
    /// Numbers of the classes that are drawn from, where some are left out.
    classes: Option<Vec<usize>>,
}

impl Sampler {
    /// A sampler over `set`.
    ///
    /// # Errors
    /// When the set has too few classes, or classes with too few images; the message names them.
    pub fn new(
        set: &ImageSet,
        shape: Episode,
        seed: u64,
        stream: Stream,
    ) -> Result<Self, DataError> {
        let wanted = shape.k_shot + shape.n_query;
        let large = |class: &&usize| set.classes()[**class].images.len() >= wanted;
        let all: Vec<usize> = (0..set.classes().len()).collect();
        let kept: Vec<usize> = all.iter().filter(large).copied().collect();
        let classes = (set.skips_small_classes() && kept.len() < all.len()).then_some(kept);
        check(set, shape, stream, classes.as_deref())?;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = match stream {
            Stream::Train => 1,
            Stream::Validate => 2,
            Stream::Test => 3,
        };
        Ok(Self { set: set.clone(), shape, seed: key, classes })
    }

    /// The episode with this number.
    pub fn episode(&self, number: u64) -> EpisodeIndices {
        let mut rng = ChaCha8Rng::from_seed(self.seed);
        rng.set_stream(number);
        let Episode { n_way, k_shot, n_query } = self.shape;
        let count = self.classes.as_ref().map_or(self.set.classes().len(), Vec::len);
        let mut classes = sample(&mut rng, count, n_way).into_vec();
        if let Some(kept) = &self.classes {
            classes.iter_mut().for_each(|class| *class = kept[*class]);
        }
        let mut episode = EpisodeIndices {
            support: Vec::with_capacity(n_way * k_shot),
            query: Vec::with_capacity(n_way * n_query),
            classes,
        };
        for class in &episode.classes {
            let images = &self.set.classes()[*class].images;
            let picked = sample(&mut rng, images.len(), k_shot + n_query).into_vec();
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

    /// Shape of the episodes.
    pub fn shape(&self) -> Episode {
        self.shape
    }
}

fn check(
    set: &ImageSet,
    shape: Episode,
    stream: Stream,
    kept: Option<&[usize]>,
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
            "episode.n_way",
            format!(
                "`episode.n_way: {}` asks for more classes than the {} of the {split} split that \
                 `data.skip_small_classes` leaves of {classes}",
                shape.n_way,
                kept.len()
            ),
            "lower `episode.n_way`, or `episode.n_query` so that more classes are large enough",
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
            "episode.n_way",
            format!(
                "`episode.n_way: {}` asks for more classes than the {classes} of the {split} split",
                shape.n_way
            ),
            format!("lower `episode.n_way` to {classes} or less, or use a larger data set"),
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
        "episode.n_query",
        format!(
            "`episode.k_shot: {}` and `episode.n_query: {}` need {wanted} images a class, and \
             {} of the {split} split's {classes} classes have fewer: {}{more}",
            shape.k_shot,
            shape.n_query,
            small.len(),
            named.join(", "),
        ),
        match room {
            0 => format!(
                "lower `episode.k_shot` (the smallest class has {smallest} images), or set `data.skip_small_classes: true`"
            ),
            _ => format!(
                "lower `episode.n_query` to {room} or less, or set `data.skip_small_classes: true`"
            ),
        },
    ))
}
