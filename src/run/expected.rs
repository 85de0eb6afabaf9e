//! The peak that a run is expected to have.

use super::events::Event;
use crate::device::Pages;
use crate::plan::footprint::{Footprint, Use};

/// Share by which a peak may differ from its prediction without a warning.
const TOLERATED: f64 = 0.15;

/// The peak that a run is expected to have, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExpectedPeak {
    /// Of a short run, which has not used every image yet.
    least: u64,
    /// The prediction for a whole run.
    pub most: u64,
}

impl ExpectedPeak {
    /// As predicted; where a GPU's tensors are carved from pages, the peak is that of the pages.
    pub fn of(predicted: &Footprint, pages: Option<Pages>) -> Self {
        if let Some(pages) = pages {
            let all = pages.number * pages.bytes;
            return Self { least: all, most: all };
        }
        let most = predicted.whole_run();
        Self { least: most - predicted.peak.of(Use::Data), most }
    }

    /// A warning of a peak that is far from what was expected.
    pub fn differs(self, peak_bytes: u64) -> Option<Event> {
        let share = |of: u64| peak_bytes as f64 / of.max(1) as f64;
        let is_far = share(self.most) > 1.0 + TOLERATED || share(self.least) < 1.0 - TOLERATED;
        let predicted_peak_bytes = self.most;
        is_far.then_some(Event::PeakDiffers { peak_bytes, predicted_peak_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::footprint::Timeline;

    #[test]
    fn a_peak_far_from_its_prediction_is_reported() {
        let mut time = Timeline::default();
        time.hold(Use::Activations, 100);
        let expected = |peak, checkpoint| {
            let predicted = Footprint { peak, step: 0, checkpoint, gpu: None, phases: None };
            ExpectedPeak::of(&predicted, None)
        };
        let one = expected(time.peak(), 0);
        assert_eq!(one.differs(96), None);
        let event = |peak_bytes| Some(Event::PeakDiffers { peak_bytes, predicted_peak_bytes: 100 });
        assert_eq!(one.differs(130), event(130));
        assert_eq!(one.differs(78), event(78));
        // A checkpoint takes more than a step.
        assert_eq!(expected(time.peak(), 130).differs(130), None);
        // The data set's images are not all used in a short run.
        time.hold(Use::Data, 100);
        assert_eq!(expected(time.peak(), 0).differs(100), None);
    }

    #[test]
    fn pages_are_the_peak_until_another_is_taken() {
        let mut time = Timeline::default();
        time.hold(Use::Activations, 100);
        let peak = time.peak();
        let predicted = Footprint { peak, step: 0, checkpoint: 0, gpu: None, phases: None };
        let expected = ExpectedPeak::of(&predicted, Some(Pages { number: 2, bytes: 60 }));
        assert_eq!(expected.differs(120), None);
        let event = Event::PeakDiffers { peak_bytes: 180, predicted_peak_bytes: 120 };
        assert_eq!(expected.differs(180), Some(event));
    }
}
