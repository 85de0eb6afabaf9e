/// What memory is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Weights and running statistics.
    Parameters,
    /// Gradients of the weights.
    Gradients,
    /// What the optimizer remembers of each weight.
    Optimizer,
    /// Images and features on their way, and what the backward pass needs of them.
    Activations,
    /// What one operation needs while it works.
    Workspace,
    /// Images of the data set, and episodes prepared ahead.
    Data,
}

/// Bytes by use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes([u64; 6]);

impl Bytes {
    /// Bytes of one use.
    pub fn of(&self, part: Use) -> u64 {
        self.0[part as usize]
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Memory over time: what is held now, and the moment at which most was.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    now: Bytes,
    peak: Bytes,
}

impl Timeline {
    /// Takes bytes until they are freed.
    pub fn hold(&mut self, part: Use, bytes: u64) {
        self.now.0[part as usize] += bytes;
        if self.now.total() > self.peak.total() {
            self.peak = self.now;
        }
    }

    /// Gives bytes back.
    ///
    /// # Panics
    /// When they were not held.
    pub fn free(&mut self, part: Use, bytes: u64) {
        let held = &mut self.now.0[part as usize];
        *held = held.checked_sub(bytes).expect("only what is held can be freed");
    }

    /// Takes bytes for a moment.
    pub fn touch(&mut self, part: Use, bytes: u64) {
        self.hold(part, bytes);
        self.free(part, bytes);
    }

    /// What is held now.
    pub fn now(&self) -> Bytes {
        self.now
    }

    /// What was held at the moment at which most was.
    pub fn peak(&self) -> Bytes {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_of_one_moment() {
        let mut time = Timeline::default();
        time.hold(Use::Activations, 10);
        time.touch(Use::Workspace, 5);
        time.free(Use::Activations, 10);
        time.hold(Use::Gradients, 12);
        assert_eq!(time.peak().total(), 15);
        assert_eq!(time.peak().of(Use::Workspace), 5);
        assert_eq!(time.peak().of(Use::Gradients), 0);
        assert_eq!(time.now().total(), 12);
    }
}
