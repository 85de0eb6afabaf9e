/// The uses of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Weights and running statistics.
    Parameters,
    /// Gradients of the weights.
    Gradients,
    /// State of the optimizer for each weight.
    Optimizer,
    /// Images, features, their gradients, and activations kept for the backward pass.
    Activations,
    /// Temporary buffers of one operation.
    Workspace,
    /// Images of the data set, and episodes prepared ahead.
    Data,
}

/// Bytes in use, by their use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes([u64; 6]);

impl Bytes {
    /// Bytes of one use.
    pub fn of(&self, part: Use) -> u64 {
        self.0[part as usize]
    }

    /// Sum of the bytes of all uses.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Memory over time: what is held now, and at the peak.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    now: Bytes,
    peak: Bytes,
}

impl Timeline {
    /// Allocates bytes for a use.
    pub fn hold(&mut self, part: Use, bytes: u64) {
        self.now.0[part as usize] += bytes;
        if self.now.total() > self.peak.total() {
            self.peak = self.now;
        }
    }

    /// Frees bytes.
    ///
    /// # Panics
    /// When fewer bytes are held.
    pub fn free(&mut self, part: Use, bytes: u64) {
        let held = &mut self.now.0[part as usize];
        *held = held.checked_sub(bytes).expect("only what is held can be freed");
    }

    /// Allocates bytes and frees them at once.
    pub fn touch(&mut self, part: Use, bytes: u64) {
        self.hold(part, bytes);
        self.free(part, bytes);
    }

    /// Bytes that are in use now.
    pub fn now(&self) -> Bytes {
        self.now
    }

    /// Bytes held at the peak.
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
