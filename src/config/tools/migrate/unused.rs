//! Flags about how a run is watched and kept: none becomes a key.

use super::command_line::CommandLine;

pub(super) fn unused(line: &mut CommandLine) {
    for (flag, value) in line.given() {
        let text = match flag {
            "split" if value == "novel" => "the test uses the novel split already".to_owned(),
            "split" => format!("test that split with `fsct eval RUN --split {value}`"),
            "wandb" if value == "0" => continue,
            "wandb" => "a run writes its events to `events.jsonl`; nothing is uploaded".into(),
            "datetime" => "the name of a run's folder has the time of its start".into(),
            "save_freq" => "a run keeps its last and its best checkpoint".into(),
            "resume" if value == "0" => continue,
            "resume" => "continue a run with `fsct run PIPELINE --resume`".into(),
            "seed" => format!("train_test.py has no such flag; write `seed: {value}`"),
            "visualize_features" => "features are not plotted".into(),
            "comprehensive_eval" => "a run's metrics are in `metrics.json`".into(),
            _ => continue,
        };
        line.note(format!("--{flag} {value} is left out: {text}"));
    }
}
