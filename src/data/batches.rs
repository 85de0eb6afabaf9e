use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{DataError, ImageSet};

/// Distinguishes these draws from those of episodes with the same seed, see [`Stream`](super::Stream).
const STREAM: u8 = 4;

/// Batches of images for supervised training: each epoch visits every image of a set once, in an order of
/// its own.
///
/// A batch depends on the seed and its number alone, so where a run stands is one integer.
#[derive(Debug, Clone)]
pub struct Batches {
    /// Every image with the number of its class.
    images: Vec<(usize, usize)>,
    size: usize,
    seed: [u8; 32],
}

impl Batches {
    /// Batches of `size` images of `set`; the last one of an epoch has what is left.
    ///
    /// # Errors
    /// When the set has fewer than two classes.
    pub fn new(set: &ImageSet, seed: u64, size: usize) -> Result<Self, DataError> {
        let classes = set.classes().len();
        if classes < 2 {
            let message = match classes {
                0 => format!("there is no base split: {}", set.absence()),
                _ => "`train.pretrain` needs two training classes, and there is one".to_owned(),
            };
            let help = "name a data set with training classes, or `train.data`";
            return Err(DataError::pipeline("train.pretrain", message, help));
        }
        let of_class = |(class, it): (usize, &super::Class)| {
            it.images.iter().map(|image| (*image, class)).collect::<Vec<_>>()
        };
        let images = set.classes().iter().enumerate().flat_map(of_class).collect();
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = STREAM;
        Ok(Self { images, size: size.max(1), seed: key })
    }

    /// Batches of an epoch.
    pub fn per_epoch(&self) -> usize {
        self.images.len().div_ceil(self.size).max(1)
    }

    /// The images of the batch with this number, each with the number of its class.
    pub fn batch(&self, number: u64) -> Vec<(usize, usize)> {
        let per_epoch = self.per_epoch() as u64;
        let mut rng = ChaCha8Rng::from_seed(self.seed);
        rng.set_stream(number / per_epoch);
        let mut order = self.images.clone();
        order.shuffle(&mut rng);
        let start = (number % per_epoch) as usize * self.size;
        order[start..order.len().min(start + self.size)].to_vec()
    }

    /// Seed of what happens to an image in a batch, whichever thread makes it happen.
    pub fn image_seed(&self, number: u64, image: usize) -> [u8; 32] {
        let mut seed = self.seed;
        seed[16..24].copy_from_slice(&number.to_le_bytes());
        seed[24..32].copy_from_slice(&(image as u64).to_le_bytes());
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};
    use crate::data::{self, Split};

    fn base() -> ImageSet {
        let text = "data: {format: synthetic, image_size: 16}\nbackbone: {kind: conv4s}\n\
                    method: {kind: protonet}\n";
        let pipeline = load_str("test", text, &Overrides::default()).unwrap().pipeline;
        data::open(&pipeline, std::path::Path::new(".")).unwrap().split(Split::Base).clone()
    }

    #[test]
    fn an_epoch_has_every_image_once_in_an_order_of_its_own() {
        let set = base();
        let batches = Batches::new(&set, 7, 100).unwrap();
        let a_epoch = batches.per_epoch() as u64;
        assert_eq!(a_epoch as usize, set.len().div_ceil(100));
        let epoch = |first: u64| -> Vec<(usize, usize)> {
            (first..first + a_epoch).flat_map(|number| batches.batch(number)).collect()
        };
        let [first, second] = [epoch(0), epoch(a_epoch)];
        assert_ne!(first, second);
        let mut images: Vec<usize> = first.iter().map(|(image, _)| *image).collect();
        images.sort_unstable();
        assert_eq!(images, (0..set.len()).collect::<Vec<_>>());
        assert!(first.iter().all(|(image, class)| set.classes()[*class].images.contains(image)));
        assert_eq!(batches.batch(3), batches.batch(3), "a batch depends on its number alone");
        let other = Batches::new(&set, 8, 100).unwrap();
        assert_ne!(other.batch(0), batches.batch(0));
        assert_ne!(batches.image_seed(0, 1), batches.image_seed(1, 1));
    }
}
