//! Episodes, memory, optimizer and how long to train.

use super::{
    command_line::{CommandLine, Source},
    data::trained_on,
    number,
};
use crate::config::tools::draft::Draft;

/// Images of a class that Omniglot's twenty leave for queries.
const OMNIGLOT_QUERIES: &str = "15";

pub(super) fn episode(line: &mut CommandLine, draft: &mut Draft) {
    for name in ["n_way", "k_shot"] {
        let (value, from) = line.get(name);
        draft.set(&format!("episode.{name}"), number(value.unwrap_or_default()), "", &from);
    }
    let (queries, from) = line.get("n_query");
    let mut queries = queries.unwrap_or_default().to_owned();
    if line.value("dataset").eq_ignore_ascii_case("omniglot") && queries != OMNIGLOT_QUERIES {
        if line.is_given("n_query") {
            line.note(format!(
                "{from} is left out: train_test.py always takes 15 queries a class on Omniglot"
            ));
        }
        queries = OMNIGLOT_QUERIES.into();
    }
    draft.set("episode.n_query", number(&queries), "", &from);
}

pub(super) fn memory(line: &mut CommandLine, draft: &mut Draft) {
    if line.source() == Source::Original {
        return;
    }
    let (steps, from) = line.get("gradient_accumulation_steps");
    let steps = steps.unwrap_or_default().to_owned();
    draft.set(
        "memory.accumulation_steps",
        number(&steps),
        "micro-batches before one optimizer step",
        &from,
    );
    let accumulates = steps != "1";
    if accumulates {
        draft.set(
            "memory.accumulation_unit",
            "episodes",
            "`queries` splits one episode: a lower peak",
            &from,
        );
        line.note(
            "accumulation over whole episodes does not lower the peak, here or in train_test.py: \
             `accumulation_unit: queries` does",
        );
        let episodes = line.value("n_episode").to_owned();
        if let (Ok(episodes), Ok(steps)) = (episodes.parse::<usize>(), steps.parse::<usize>())
            && steps > 0
            && episodes % steps > 0
        {
            line.note(format!(
                "{episodes} episodes are not a multiple of {steps} accumulation steps: train_test.py drops the last \
                 {} gradients of each epoch, fsct uses them",
                episodes % steps
            ));
        }
    }
    let (_, from) = line.get("use_amp");
    let amp = if line.is_on("use_amp") { "f16" } else { "off" };
    draft.set("memory.amp", amp, "", &from);
    if amp == "f16" {
        line.note(
            "train_test.py turns AMP off on a CPU; write `amp: off` there, where 16 bits cost time",
        );
    }
    let every = if accumulates { 10 } else { 50 };
    draft.set("memory.clear_cache_every", every, "steps", "the cache clearing");
    draft.set("memory.clear_cache_after_epoch", true, "", "the cache clearing");
}

pub(super) fn training(line: &mut CommandLine, draft: &mut Draft, root: Option<&str>) {
    let (optimizer, from) = line.get("optimization");
    let kind = optimizer.unwrap_or_default().to_lowercase();
    draft.set("optimizer.kind", kind.as_str(), "", &from);
    for name in ["learning_rate", "weight_decay"] {
        let (value, from) = line.get(name);
        draft.set(&format!("optimizer.{name}"), number(value.unwrap_or_default()), "", &from);
    }
    let (momentum, from) = line.get("momentum");
    if kind == "sgd" {
        draft.set("optimizer.momentum", number(momentum.unwrap_or_default()), "", &from);
    } else if line.is_given("momentum") {
        line.note(format!("{from} is left out: only SGD has momentum"));
    }
    let (epochs, from) = line.get("num_epoch");
    let epochs = epochs.unwrap_or_default().to_owned();
    draft.set("train.epochs", number(&epochs), "", &from);
    let (episodes, from) = line.get("n_episode");
    let episodes = number(episodes.unwrap_or_default());
    draft.set("train.episodes_per_epoch", episodes.clone(), "", &from);
    if let Some(list) = trained_on(line.value("dataset")) {
        let from = line.get("dataset").1;
        draft.set("train.data.format", "filelist", "", &from);
        draft.set("train.data.root", list, "", &from);
        if root.is_some() {
            line.note(format!(
                "`--root` is the folder of the data set that is tested on; the one to train on is \
                 `train.data.root: {list}`"
            ));
        }
    }
    draft.set("validate.episodes", episodes, "", &from);
    let (test, from) = line.get("test_iter");
    draft.set("test.episodes", number(test.unwrap_or_default()), "", &from);
    checkpoint(line, draft, &epochs);
}

/// `--save_iter` tests the weights of one epoch, counted from 0; -1 are the best ones.
fn checkpoint(line: &mut CommandLine, draft: &mut Draft, epochs: &str) {
    let (epoch, from) = line.get("save_iter");
    let last = epochs.parse::<usize>().map(|epochs| epochs.saturating_sub(1).to_string());
    match epoch.unwrap_or_default() {
        "-1" => draft.set("test.checkpoint", "best", "", &from),
        epoch if last.is_ok_and(|last| last == epoch) => {
            draft.set("test.checkpoint", "last", "", &from);
        }
        _ => line.note(format!(
            "{from} is left out: a run keeps its best and its last checkpoint; `train.epochs` ends a run at \
             another epoch"
        )),
    }
}
