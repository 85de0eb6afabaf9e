//! The test at the end of a run.

use super::RunError;
use super::answers;
use super::checkpoint::Checkpoint;
use super::evaluate::{Evaluated, Evaluation, Features, images_of};
use super::events::{Event, Reporter};
use super::evidence::{self, FeatureEvidence, TestEvidence};
use super::folder::{RunFolder, write_atomically};
use super::trainer::{Place, Trainer};
use crate::config;
use crate::data::{Split, Stream};
use crate::model::FewShotNet;
use crate::plan::Plan;

/// The test of a run, and what the run took up to its end.
#[derive(Default)]
pub(super) struct Tested {
    pub(super) evaluated: Option<Evaluated>,
    pub(super) checkpoint: Option<&'static str>,
    /// What a report shows of it.
    pub(super) evidence: Option<(TestEvidence, Option<FeatureEvidence>)>,
    pub(super) seconds: f64,
    pub(super) peak_bytes: u64,
}

/// Tests on novel classes.
pub(super) fn test(
    trainer: &mut Trainer,
    plan: &Plan,
    place: Place,
    reporter: &mut dyn Reporter,
) -> Result<Tested, RunError> {
    let Place { data, device, folder, interrupt } = place;
    let pipeline = &plan.pipeline;
    let of = pipeline.test.episodes;
    if of == 0 {
        let (seconds, peak_bytes) = trainer.cost();
        return Ok(Tested { seconds, peak_bytes, ..Tested::default() });
    }
    let (net, name) = tested_net(trainer, plan, folder, reporter)?;
    let progress = trainer.progress();
    let temperature = match (name, &progress.best) {
        (BEST, Some(best)) => best.temperature,
        _ => progress.temperature,
    };
    reporter.report(&Event::Tested { episodes: 0, of })?;
    // Training is over and its last checkpoint written: a resumed run starts with the test.
    let stopped = |error| match error {
        RunError::Stopped { signal, episodes: answered } => RunError::Interrupted {
            signal,
            at: format!("in the test, after {answered} of {of} episodes"),
            folder: folder.path().to_owned(),
        },
        error => error,
    };
    let set = data.split(Split::Novel);
    let asked = Evaluation { split: Split::Novel, stream: Stream::Test, episodes: of };
    let episodes = asked.episodes(set, pipeline)?;
    let images = images_of(&episodes);
    let features = Features::new(&net, pipeline, set, &device.device, images, interrupt);
    let features = features.map_err(stopped)?;
    let mut lines = String::new();
    let tested = evidence::test(&features, &episodes, temperature, &mut |number, answer| {
        lines.push_str(&answers::line(&answer, set));
        reporter.report(&Event::Tested { episodes: number + 1, of })
    });
    let tested = tested.map_err(stopped)?;
    write_atomically(&folder.answers(), lines.as_bytes())?;
    let evaluated = tested.evaluated.clone();
    let message = format!("in the test, {}", evaluated.features);
    reporter.report(&Event::Note { message })?;
    // The peak is that of training and testing.
    let (seconds, peak_bytes) = trainer.cost();
    let evidence = match pipeline.report.shows_test() {
        true => match tested.evidence(set, &features, name.into(), pipeline.test_episode()) {
            Ok(evidence) => Some(evidence),
            Err(error @ RunError::Stopped { .. }) => return Err(stopped(error)),
            Err(error) => {
                let message = format!("the report will lack the test and the features: {error}");
                reporter.report(&Event::Warning { message })?;
                None
            }
        },
        false => None,
    };
    let (evaluated, checkpoint) = (Some(evaluated), Some(name));
    Ok(Tested { evaluated, checkpoint, evidence, seconds, peak_bytes })
}

/// The name of the best checkpoint in a result.
const BEST: &str = "best";

/// The network to test: the best one, if the pipeline asks for it and it exists.
fn tested_net(
    trainer: &Trainer,
    plan: &Plan,
    folder: &RunFolder,
    reporter: &mut dyn Reporter,
) -> Result<(FewShotNet, &'static str), RunError> {
    let is_best = plan.pipeline.test.checkpoint == config::Checkpoint::Best;
    if is_best && trainer.progress().best.is_some() {
        let best = Checkpoint::read(&folder.best()).and_then(|it| it.load_model(trainer.net()));
        match best {
            Ok(net) => return Ok((net, BEST)),
            // The run's result is that of the last checkpoint rather than none.
            Err(error) => reporter.report(&Event::Warning {
                message: format!("the last checkpoint is tested instead of the best: {error}"),
            })?,
        }
    }
    Ok((trainer.net(), "last"))
}
