//! The end of an epoch: validation, the best checkpoint and the one to resume from.

use super::{RunError, Trainer};
use crate::config::TrainingPhase;
use crate::data::{Split, Stream};
use crate::model::method::protonet::Protonet;
use crate::model::{FewShotNet, Head};
use crate::network::Distance;
use crate::run::calibration::TemperatureFit;
use crate::run::checkpoint::EpochMeans;
use crate::run::evaluate::{Evaluation, evaluate_split};
use crate::run::events::{Epoch, Event, Reporter, Validated};
use crate::stage::clear_cache;

impl Trainer<'_> {
    /// Validates, keeps the best, and writes the checkpoint that the next epoch starts from.
    ///
    /// Until the validation is complete the epoch is not: a run that is interrupted in it resumes
    /// with the validation.
    pub(super) fn end_epoch(&mut self, reporter: &mut dyn Reporter) -> Result<(), RunError> {
        let means = self.progress.epoch_sums.means();
        let EpochMeans { loss, accuracy } = means;
        let epoch = self.progress.epoch + 1;
        let is_pretraining = self.phase() == TrainingPhase::Pretraining;
        let ended = Epoch { epoch, loss, accuracy };
        reporter.report(&match is_pretraining {
            true => Event::PretrainEpoch(ended),
            false => Event::Epoch(ended),
        })?;
        if !is_pretraining {
            self.center(reporter)?;
        }
        let validated = self.validate(epoch, reporter)?;
        self.progress.epoch = epoch;
        self.progress.epoch_sums = Default::default();
        self.progress.last_epoch = Some(means);
        let mut is_best = false;
        if let Some(validated) = validated {
            is_best = validated.best;
            self.progress.validations.push(validated.accuracy.mean);
            self.progress.temperature = validated.temperature;
            if is_best {
                self.progress.best = Some(validated.clone());
            }
            reporter.report(&match is_pretraining {
                true => Event::PretrainValidated(validated),
                false => Event::Validated(validated),
            })?;
        }
        if self.plan.pipeline.memory.clear_cache_after_epoch {
            clear_cache::clear(&self.device);
        }
        if is_best {
            let path = if is_pretraining { self.folder.pretrained() } else { self.folder.best() };
            self.save(&path, reporter)?;
        }
        // After the best one: a run killed in between validates once more and finds it best again.
        self.save_last(reporter)
    }

    /// The network that answers the episodes of validation: of pretraining the backbone with cosine similarity to
    /// class means.
    fn validated_net(&self) -> FewShotNet {
        let net = self.net();
        match self.phase() {
            TrainingPhase::Episodes => net,
            TrainingPhase::Pretraining => {
                FewShotNet { head: Head::Protonet(Protonet::new(Distance::Cosine)), ..net }
            }
        }
    }

    /// Accuracy on the validation episodes, where there are any.
    fn validate(
        &mut self,
        epoch: usize,
        reporter: &mut dyn Reporter,
    ) -> Result<Option<Validated>, RunError> {
        let pipeline = &self.plan.pipeline;
        if pipeline.validate.episodes == 0 {
            return Ok(None);
        }
        let evaluation = Evaluation {
            split: Split::Val,
            stream: Stream::Validate,
            episodes: pipeline.validate.episodes,
        };
        let mut fit = TemperatureFit::default();
        let evaluated = evaluate_split(
            &self.validated_net(),
            pipeline,
            self.data,
            &self.device,
            evaluation,
            self.interrupt,
            &mut |_, answer| {
                fit.add(&answer);
                Ok(())
            },
        );
        let accuracy = match evaluated {
            Ok(evaluated) => evaluated.accuracy,
            Err(RunError::Stopped { .. }) => return Err(self.interrupted(reporter)),
            Err(error) => return Err(error),
        };
        let best = self.progress.best.as_ref().is_none_or(|it| accuracy.mean > it.accuracy.mean);
        Ok(Some(Validated { epoch, accuracy, best, temperature: fit.temperature() }))
    }
}
