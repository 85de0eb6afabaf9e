/// Shape of an episode's batch: `n_way` classes, each with `k_shot` support images followed by
/// `n_query` query images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodeShape {
    /// Number of classes in the episode.
    pub n_way: usize,
    /// Support images of each class.
    pub k_shot: usize,
    /// Query images of each class.
    pub n_query: usize,
}

impl EpisodeShape {
    /// Images in the episode.
    pub fn images(&self) -> usize {
        self.n_way * (self.k_shot + self.n_query)
    }

    /// Support images in the episode.
    pub fn supports(&self) -> usize {
        self.n_way * self.k_shot
    }

    /// Query images in the episode, the `Q` of the papers.
    pub fn queries(&self) -> usize {
        self.n_way * self.n_query
    }
}
