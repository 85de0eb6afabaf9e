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

impl Use {
    /// All of them, from those held longest.
    pub const ALL: [Self; 6] = [
        Self::Parameters,
        Self::Optimizer,
        Self::Data,
        Self::Gradients,
        Self::Activations,
        Self::Workspace,
    ];

    /// The word for people and in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Gradients => "gradients",
            Self::Optimizer => "optimizer",
            Self::Activations => "activations",
            Self::Workspace => "workspace",
            Self::Data => "data",
        }
    }
}

/// The parts of a simulated step, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// What is held between steps.
    #[default]
    Held,
    /// The images through the backbone.
    Forward,
    /// The head and the loss, there and back.
    Head,
    /// The gradient through the backbone, with everything that is computed again.
    Backward,
    /// The update of the weights.
    Optimizer,
    /// An episode of validation and one of the test.
    Test,
}

impl Phase {
    /// The words for people and in files.
    pub fn words(self) -> &'static str {
        match self {
            Self::Held => "between steps",
            Self::Forward => "forward",
            Self::Head => "head and loss",
            Self::Backward => "backward",
            Self::Optimizer => "optimizer",
            Self::Test => "test",
        }
    }
}

/// The memory in use after one allocation or release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The part of the step that it belongs to.
    pub phase: Phase,
    /// Bytes in use, by their use.
    pub bytes: Bytes,
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
    phase: Phase,
    /// Most bytes of activations or workspace allocated at once, of one tensor or of several.
    largest: u64,
    /// Every moment, where somebody wants to see them.
    course: Option<Vec<Moment>>,
}

impl Timeline {
    /// A timeline that keeps every moment.
    pub fn recorded() -> Self {
        Self { course: Some(Vec::new()), ..Self::default() }
    }

    /// The moments from now on belong to this part of a step.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Every moment, of a recorded timeline.
    pub fn into_course(self) -> Vec<Moment> {
        self.course.unwrap_or_default()
    }

    fn record(&mut self) {
        if let Some(course) = &mut self.course {
            course.push(Moment { phase: self.phase, bytes: self.now });
        }
    }

    /// Allocates bytes for a use.
    pub fn hold(&mut self, part: Use, bytes: u64) {
        self.now.0[part as usize] += bytes;
        if matches!(part, Use::Activations | Use::Workspace) {
            self.largest = self.largest.max(bytes);
        }
        if self.now.total() > self.peak.total() {
            self.peak = self.now;
        }
        self.record();
    }

    /// Frees bytes.
    ///
    /// # Panics
    /// When fewer bytes are held.
    pub fn free(&mut self, part: Use, bytes: u64) {
        let held = &mut self.now.0[part as usize];
        *held = held.checked_sub(bytes).expect("only what is held can be freed");
        self.record();
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

    /// Bytes that no tensor of an operation is larger than.
    pub fn largest(&self) -> u64 {
        self.largest
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
        assert_eq!(time.largest(), 10, "the gradients are of many tensors");
        assert!(time.into_course().is_empty(), "nobody asked for it");
    }

    #[test]
    fn a_recorded_timeline_has_every_moment() {
        let mut time = Timeline::recorded();
        time.hold(Use::Data, 1);
        time.enter(Phase::Forward);
        time.touch(Use::Workspace, 5);
        let course = time.into_course();
        let totals: Vec<_> = course.iter().map(|it| (it.phase, it.bytes.total())).collect();
        assert_eq!(totals, [(Phase::Held, 1), (Phase::Forward, 6), (Phase::Forward, 1)]);
    }
}
