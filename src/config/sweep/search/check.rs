//! What a search cannot work with: found in the resolved pipelines of its cells.

use super::{Search, SearchMethod};
use crate::config::{
    pipeline::{Rule, ScheduleKind},
    resolve::loaded::Loaded,
    text::diagnostic::Diagnostic,
};

impl Search {
    /// What is wrong with the pipeline of a cell, for this search.
    pub(in crate::config::sweep) fn check(&self, loaded: &Loaded) -> Vec<Diagnostic> {
        let pipeline = &loaded.pipeline;
        let mut found = Vec::new();
        let mut refuse = |key: &str, message: String, help: String| {
            let diagnostic = loaded.diagnostic_of(Rule::Value, key, message).help(help);
            found.push(diagnostic.related(Some(self.span.clone()), "the search"));
        };
        if pipeline.validate.episodes == 0 {
            let message = "`validate.episodes: 0` leaves nothing to rank the candidates by";
            let help = "validate on some, say `set: {validate.episodes: 200}`";
            refuse("validate.episodes", message.into(), help.into());
        }
        let train = &pipeline.train;
        if train.trained_epochs() == 0 {
            let key = if train.epochs == 0 { "train.epochs" } else { "train.episodes_per_epoch" };
            let message = format!("`{key}: 0` trains no candidate");
            refuse(key, message, "write 1 or more".into());
            return found;
        }
        if self.method != SearchMethod::Halving {
            return found;
        }
        if train.epochs < self.factor {
            let message = format!(
                "`train.epochs: {}` has no room for a rung before the last with `search.factor: {}`",
                train.epochs, self.factor
            );
            let help = format!(
                "train for {} epochs or more, lower `search.factor`, or write `method: random`",
                self.factor
            );
            refuse("train.epochs", message, help);
        }
        if pipeline.optimizer.schedule.kind == ScheduleKind::Cosine {
            let message = "`optimizer.schedule.kind: cosine` depends on `train.epochs`, which rises \
                           from rung to rung";
            let help = "write `constant`, `step`, `milestones` or `cosine_restarts`, or search with \
                        `method: random`";
            refuse("optimizer.schedule.kind", message.into(), help.into());
        }
        found
    }
}
