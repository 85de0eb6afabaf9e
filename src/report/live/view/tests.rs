use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::*;
use crate::run::folder::RunFolder;

/// When the recorded run wrote its last event.
fn moment() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

/// The folder of a recorded run: a quickstart that was killed in its fourth epoch.
fn recorded(folder: &Path) -> RunFolder {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/watch");
    for name in ["events.jsonl", "pipeline.yaml"] {
        fs::copy(tests.join(name), folder.join(name)).unwrap();
    }
    touch(folder);
    RunFolder::open(folder)
}

fn touch(folder: &Path) {
    let events = fs::OpenOptions::new().append(true).open(folder.join("events.jsonl")).unwrap();
    events.set_modified(moment()).unwrap();
}

/// What a terminal of that size shows, `seconds` after the last event.
fn drawn(run: &Watched, (width, height): (u16, u16), seconds: u64) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let now = moment() + Duration::from_secs(seconds);
    let view = View { run, now, colours: true, hint: Some("q quits") };
    terminal.draw(|frame| frame.render_widget(view, frame.area())).unwrap();
    let text = terminal.backend().to_string();
    // Its name is that of a temporary folder.
    text.replace(&run.name, &"R".repeat(run.name.chars().count()))
}

#[test]
fn a_view_is_drawn_at_every_size() {
    let folder = tempfile::Builder::new().prefix("run-").rand_bytes(6).tempdir().unwrap();
    let run = Watched::open(recorded(folder.path())).unwrap();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../../tests/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| {
        for size in [(100, 30), (60, 20), (20, 5)] {
            let name = format!("watch_{}x{}", size.0, size.1);
            insta::assert_snapshot!(name, drawn(&run, size, 3));
        }
    });
    let silent = drawn(&run, (100, 30), 200);
    assert!(silent.contains("no event for 3 min 20 s"), "{silent}");
    for width in 1..130 {
        for height in 1..45 {
            drawn(&run, (width, height), 3);
        }
    }
}

#[test]
fn a_view_follows_a_run_that_grows_ends_and_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = recorded(folder.path());
    let path = run_folder.events();
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, "").unwrap();
    let mut run = Watched::open(run_folder).unwrap();
    assert!(drawn(&run, (80, 24), 0).contains("starting: no event yet"));
    assert!(!run.update());

    let cut = whole.match_indices("{\"event\":\"step\"").nth(60).unwrap().0;
    fs::write(&path, &whole[..cut + 40]).unwrap();
    assert!(run.update());
    let text = drawn(&run, (80, 24), 0);
    assert!(text.contains("step 60/") && text.contains("left"), "{text}");
    assert!(!text.contains("cannot be read"), "half a line is none: {text}");

    fs::write(&path, &whole).unwrap();
    assert!(run.update());
    let last = run.log.steps.last().unwrap().step;
    assert!(drawn(&run, (80, 24), 0).contains(&format!("step {last}/")) && last > 60);
    assert!(!run.update());

    // Resumed: cut, and written on by another process.
    let cut = whole.match_indices("{\"event\":\"step\"").nth(30).unwrap().0;
    fs::write(&path, &whole[..cut]).unwrap();
    assert!(run.update());
    assert_eq!(run.log.steps.last().map(|it| it.step), Some(30));
    assert!(!run.is_finished());
}

#[test]
fn plain_text_has_no_spaces_at_the_ends_of_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let run = Watched::open(recorded(folder.path())).unwrap();
    let view = View { run: &run, now: moment(), colours: false, hint: None };
    let text = as_text(view, 100, 30);
    assert!(text.lines().count() <= 30 && text.ends_with('\n') && !text.ends_with("\n\n"));
    for line in text.lines() {
        assert!(line == line.trim_end() && line.chars().count() <= 100, "{line:?}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
    assert!(text.contains("validation") && text.contains("loss"));
    as_text(view, 0, 0);
}
