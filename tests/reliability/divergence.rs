//! Training that overflows or diverges.

use super::*;

#[test]
fn training_that_diverges_stops_and_keeps_what_was_good() {
    let place = Workplace::new(PIPELINE);
    // A fixed scale under which every gradient overflows, after an epoch without one.
    let (good, run) = with_run(&["train.epochs=1"]);
    let output = good.fsct(&[
        "run",
        "--from",
        name(&run),
        "--set",
        "train.epochs=3",
        "--set",
        "memory.amp=f16",
        "--set",
        "memory.loss_scale=1e30",
        "--set",
        "train.checkpoint_every=1",
    ]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("training diverged at step 11"), "{text}");
    assert!(text.contains("is too large for these gradients"), "{text}");
    assert!(text.contains("no step had a finite loss and gradient"), "{text}");

    // A rate at which values leave the range of f16. What was written can be read and resumed.
    let output = place.fsct(&[
        "run",
        "tiny.yaml",
        "--set",
        "optimizer.learning_rate=100",
        "--set",
        "optimizer.kind=sgd",
        "--set",
        "memory.amp=f16",
        "--set",
        "train.epochs=20",
        "--set",
        "train.checkpoint_every=1",
    ]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("the last finite loss was") && text.contains("at step"), "{text}");
    assert!(text.contains("65504") && text.contains("memory.amp=bf16"), "{text}");
    let run = place.runs().pop().unwrap();
    assert!(!events(&run).is_empty(), "every line is JSON");
    let last = run.join("checkpoints/last.ckpt");
    let output = place.fsct(&["eval", name(&last), "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_run_whose_steps_were_all_skipped_says_that_it_learnt_nothing() {
    let place = Workplace::new(PIPELINE);
    let scale = ["memory.amp=f16", "memory.loss_scale=1e30", "train.epochs=1"];
    let mut arguments = vec!["run", "tiny.yaml", "--set", "train.episodes_per_epoch=3"];
    scale.iter().for_each(|set| arguments.extend(["--set", set]));
    let output = place.fsct(&arguments);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("warning: nothing was learnt: all 3 steps were skipped"), "{text}");
    assert!(text.contains("skipped steps 3 of 3: nothing was learnt"), "{text}");
}

#[test]
fn a_skipped_step_uses_up_neither_warm_up_nor_schedule() {
    // The first steps overflow until the dynamic scale has come down from 2^16.
    let (_place, run) = with_run(&[
        "memory.amp=f16",
        "optimizer.schedule.warmup_steps=2",
        "train.epochs=1",
        "train.episodes_per_epoch=30",
    ]);
    let steps = events(&run);
    let steps: Vec<&Value> = steps.iter().filter(|it| it["event"] == "step").collect();
    let mut taken = 0;
    for step in steps {
        let rate = step["learning_rate"].as_f64().unwrap();
        let expected = if taken == 0 { 0.0005 } else { 0.001 };
        assert!((rate - expected).abs() < 1e-12, "{step}");
        taken += usize::from(step["skipped"] == false);
    }
    assert!(0 < taken && taken < 30, "{taken} of 30 steps were taken");
}
