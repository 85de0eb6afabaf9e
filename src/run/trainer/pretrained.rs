//! From pretraining to the episodes.

use burn::module::Module;

use super::start::{Place, PretrainedNet, Start};
use super::{Progress, RunError, Trainer};
use crate::config::{Checkpoint as Kept, TrainingPhase};
use crate::model::FewShotNet;
use crate::plan::Plan;
use crate::run::checkpoint::Checkpoint;
use crate::run::events::{Event, Pretrained, Reporter};

impl<'a> Trainer<'a> {
    /// Ends a finished pretraining and begins the episodes of the whole `plan`: the classifier and the optimizer
    /// are dropped. Writes the checkpoint that the episodes start from.
    ///
    /// # Errors
    /// When the checkpoint cannot be written, and those of `reporter`.
    pub fn into_episodes<'b>(
        self,
        plan: &'b Plan,
        place: Place<'b>,
        reporter: &mut dyn Reporter,
    ) -> Result<Trainer<'b>, RunError>
    where
        'a: 'b,
    {
        let start = Start::Pretrained(Box::new(self.into_pretrained(reporter)?));
        let mut trainer = Trainer::new(plan, place, &start, reporter)?;
        if let Some(pretrained) = &trainer.progress.pretrained {
            reporter.report(&Event::Pretrained(pretrained.clone()))?;
        }
        trainer.save_last(reporter)?;
        Ok(trainer)
    }

    fn into_pretrained(mut self, reporter: &mut dyn Reporter) -> Result<PretrainedNet, RunError> {
        // The best checkpoint is loaded beside the network; without this the peak would be there.
        self.release_optimizer();
        let (seconds, peak_bytes) = self.cost();
        let (net, checkpoint) = self.chosen(reporter)?;
        let Progress { step, epoch, skipped_steps, last_epoch, .. } = self.progress;
        let pretrained = Pretrained {
            epochs: epoch,
            steps: step,
            skipped_steps,
            train_loss: last_epoch.map(|it| it.loss),
            train_accuracy: last_epoch.map(|it| it.accuracy),
            best_validation: self.progress.best.take(),
            checkpoint: checkpoint.to_owned(),
        };
        let progress = Progress {
            phase: TrainingPhase::Episodes,
            pretrained: Some(pretrained),
            memory_before_escalation: self.progress.memory_before_escalation.take(),
            train_seconds: self.progress.train_seconds,
            train_images: self.progress.train_images,
            seconds,
            peak_bytes,
            ..Progress::default()
        };
        Ok(PretrainedNet { backbone: net.backbone, progress })
    }

    /// The network that pretraining chooses: the best one, if the pipeline asks for it and it exists.
    fn chosen(&self, reporter: &mut dyn Reporter) -> Result<(FewShotNet, &'static str), RunError> {
        let pretrain = self.plan.whole().train.pretrain.as_ref();
        let is_best = pretrain.is_none_or(|it| it.checkpoint == Kept::Best);
        if is_best && self.progress.best.is_some() {
            let best = Checkpoint::read(&self.folder.pretrained())
                .and_then(|it| it.load_model(self.trained().clone()));
            match best {
                Ok(net) => return Ok((net.valid(), "best")),
                Err(error) => reporter.report(&Event::Warning {
                    message: format!(
                        "the episodes start from the last backbone instead of the best: {error}"
                    ),
                })?,
            }
        }
        Ok((self.net(), "last"))
    }
}
