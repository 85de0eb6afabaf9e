//! The predicted memory over a training step and the tests.

use serde::{Deserialize, Serialize};

use crate::plan::footprint::{Environment, Moment, Use};
use crate::plan::{Footprint, Plan};

/// Moments that are kept; a picture has no room for more.
const KEPT: usize = 320;

/// Predicted bytes in use over a training step and the tests, by use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryCourse {
    /// The parts of the step, in order.
    pub parts: Vec<Part>,
    /// The words for the uses of memory, from those held longest.
    pub uses: Vec<String>,
    /// For each use its bytes at every moment.
    pub bytes: Vec<Vec<u64>>,
}

/// A part of a step, such as its backward pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The words for it.
    pub name: String,
    /// Number of moments that belong to it.
    pub moments: usize,
}

/// Simulates a step of a plan. Of moments that follow each other the one with the most bytes is kept.
pub fn memory_course(plan: &Plan, environment: Environment) -> MemoryCourse {
    let all = Footprint::course(plan, environment);
    let together = all.len().div_ceil(KEPT).max(1);
    let (mut parts, mut kept) = (Vec::new(), Vec::<Moment>::new());
    for part in all.chunk_by(|a, b| a.phase == b.phase) {
        let most =
            part.chunks(together).filter_map(|it| it.iter().max_by_key(|it| it.bytes.total()));
        let before = kept.len();
        kept.extend(most);
        let name = part[0].phase.words().to_owned();
        parts.push(Part { name, moments: kept.len() - before });
    }
    MemoryCourse {
        parts,
        uses: Use::ALL.iter().map(|it| it.word().to_owned()).collect(),
        bytes: Use::ALL
            .iter()
            .map(|part| kept.iter().map(|moment| moment.bytes.of(*part)).collect())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};
    use crate::device::DeviceKind;
    use crate::plan;

    #[test]
    fn a_course_has_the_peak_of_the_footprint() {
        for more in ["{}", "{accumulation_steps: 8, accumulation_unit: queries, recompute: block}"]
        {
            let text = format!(
                "data: {{format: synthetic, image_size: 28}}\nbackbone: {{kind: conv4s}}\n\
                 method: {{kind: fsct}}\nmemory: {more}\n"
            );
            let loaded = load_str("test", &text, &Overrides::default()).unwrap();
            let plan = plan::compile(&loaded.pipeline);
            let environment = Environment::detect(DeviceKind::Cpu);
            let course = memory_course(&plan, environment);
            let moments: usize = course.parts.iter().map(|it| it.moments).sum();
            let total = |at: usize| course.bytes.iter().map(|it| it[at]).sum::<u64>();
            let peak = (0..moments).map(total).max().unwrap();
            assert_eq!(peak, Footprint::of(&plan, environment).peak.total(), "{more}");
            let names: Vec<&str> = course.parts.iter().map(|it| it.name.as_str()).collect();
            let all =
                ["between steps", "forward", "head and loss", "backward", "optimizer", "test"];
            assert_eq!(names, all);
            assert!(moments <= KEPT + all.len(), "{moments}");
        }
    }
}
