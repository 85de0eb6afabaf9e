//! Processes that die: no cell is lost, none is run twice, and the results stay the same to the bit.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;

use super::{Place, SWEEP, attempts, result, run_of};

/// Kills at random in the test; `FSCT_TEST_KILLS` asks for another number.
fn kills() -> usize {
    std::env::var("FSCT_TEST_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(10)
}

fn send(signal: &str, process: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill").args([signal, &process.to_string()]).output().unwrap();
}

/// Children of a process.
fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|it| it.parse().unwrap()).collect()
}

fn wait(mut child: Child, limit: Duration) -> Option<i32> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    panic!("the sweep did not end in {limit:?}");
}

/// Every cell has one run, one result, and one attempt that says so.
fn each_is_run_once(place: &Place) {
    for cell in place.cells() {
        let events = fs::read_to_string(run_of(&cell).join("events.jsonl")).unwrap();
        let finished = events.matches("\"event\":\"finished\"").count();
        assert!(finished <= 1, "{} was finished {finished} times", cell.display());
        let done = attempts(&cell).iter().filter(|it| it["outcome"] == "done").count();
        assert!(done <= 1, "{:?}", attempts(&cell));
        // No two steps of one number: the run was resumed, not repeated.
        let steps = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            (event["event"] == "step").then(|| event["step"].as_u64().unwrap())
        };
        let steps: Vec<u64> = events.lines().filter_map(steps).collect();
        assert_eq!(steps, (1..=24).collect::<Vec<_>>(), "{}", cell.display());
    }
}

/// Results by the values of the cells.
fn by_values(place: &Place) -> BTreeMap<String, Value> {
    let cells = place.manifest().into_iter().zip(place.cells());
    cells.map(|(entry, cell)| (entry["values"].to_string(), result(&cell))).collect()
}

#[test]
fn kills_at_random_lose_no_cell_and_repeat_none() {
    let calm = Place::planned(SWEEP);
    calm.ok(&["sweep", "run", "out", "--jobs", "2"]);
    let place = Place::planned(SWEEP);
    let mut rng = StdRng::seed_from_u64(12);
    let mut sweep = place.start(&["sweep", "run", "out", "--jobs", "3"]);
    let (mut killed, mut in_vain) = ([0, 0], 0);
    while killed[0] + killed[1] < kills() && in_vain < 40 {
        std::thread::sleep(Duration::from_millis(rng.random_range(50..900)));
        let cells = children(sweep.id());
        let ended = sweep.try_wait().unwrap().is_some();
        if ended {
            // Everything is done before the kills are: the rest hit processes that find nothing to do.
            in_vain += 1;
            killed[0] += 1;
        } else if cells.is_empty() || rng.random_bool(0.35) {
            send("-KILL", sweep.id());
            sweep.wait().unwrap();
            killed[0] += 1;
        } else {
            let signal = if rng.random_bool(0.8) { "-KILL" } else { "-TERM" };
            send(signal, cells[rng.random_range(0..cells.len())]);
            killed[1] += 1;
            continue;
        }
        sweep = place.start(&["sweep", "run", "out", "--jobs", "3"]);
    }
    let code = wait(sweep, Duration::from_secs(240));
    let tried: Vec<_> = place.cells().iter().map(|cell| attempts(cell)).collect();
    assert_eq!(code, Some(0), "{}\n{tried:#?}", place.printed());
    println!("killed {} sweeps ({in_vain} with nothing to do) and {} cells", killed[0], killed[1]);
    assert!(in_vain < kills() / 2, "the kills came too late: {in_vain} of {}", kills());
    each_is_run_once(&place);
    assert_eq!(by_values(&place), by_values(&calm), "to the bit");
    let table = |place: &Place| place.ok(&["sweep", "collect", "out", "--format", "csv"]);
    let without_seconds = |text: String| -> Vec<String> {
        let lines = text.lines().map(|line| {
            let fields = line.split(',').enumerate().filter(|(at, _)| *at != 6);
            fields.map(|(_, field)| field.to_owned()).collect::<Vec<_>>().join(",")
        });
        lines.collect()
    };
    assert_eq!(without_seconds(table(&place)), without_seconds(table(&calm)));
}

#[test]
fn two_hosts_that_share_a_folder_never_run_a_cell_twice() {
    let place = Place::planned(&SWEEP.replace("[1, 2, 3]", "[1, 2]"));
    // Leases alone: locks would tell two processes of one machine apart in any case.
    let host = |name: &str| {
        let arguments = ["sweep", "run", "out", "--without-locks", "--lease", "2", "--host", name];
        place.start(&arguments)
    };
    let (mut a, b) = (host("a"), host("b"));
    // One of them dies with its cell: the other takes the cell over when the lease has expired.
    let deadline = Instant::now() + Duration::from_secs(60);
    while children(a.id()).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(700));
    let cells = children(a.id());
    send("-KILL", a.id());
    cells.into_iter().for_each(|cell| send("-KILL", cell));
    a.wait().unwrap();
    let again = host("c");
    assert_eq!(wait(b, Duration::from_secs(120)), Some(0));
    assert_eq!(wait(again, Duration::from_secs(120)), Some(0));
    each_is_run_once(&place);
    let hosts: Vec<Value> =
        place.cells().iter().flat_map(|cell| attempts(cell)).map(|it| it["host"].clone()).collect();
    for name in ["a", "b", "c"] {
        assert!(hosts.iter().any(|host| host == name), "{name} ran nothing: {hosts:?}");
    }
    assert!(hosts.len() <= 8 + 1, "a cell was begun twice: {hosts:?}");
}

#[test]
fn a_request_to_stop_is_passed_on_and_the_sweep_continues() {
    let sweep =
        "pipeline: p.yaml\ngrid: {seed: [1, 2]}\nset: {train.epochs: 20, test.episodes: 5}\n";
    let place = Place::planned(sweep);
    let child = place.start(&["sweep", "run", "out", "--jobs", "2"]);
    let has_step = |cell: &Path| {
        let runs = fs::read_dir(cell.join("runs")).ok().into_iter().flatten();
        let mut events = runs.map(|run| run.unwrap().path().join("events.jsonl"));
        events.any(|path| fs::read_to_string(path).is_ok_and(|it| it.contains("\"step\"")))
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while !place.cells().iter().all(|cell| has_step(cell)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    send("-TERM", child.id());
    assert_eq!(wait(child, Duration::from_secs(60)), Some(130));
    for cell in place.cells() {
        assert_eq!(attempts(&cell)[0]["outcome"], "interrupted");
        assert!(run_of(&cell).join("checkpoints/last.ckpt").exists());
        assert!(!run_of(&cell).join("metrics.json").exists(), "the signal came in time");
    }
    let table = place.ok(&["sweep", "collect", "out"]);
    assert!(table.contains("incomplete: 2 of 2 cells have no result"), "{table}");
    assert!(table.contains("begun, can be resumed: 0 (seed=1), 1 (seed=2)"), "{table}");
    place.ok(&["sweep", "run", "out", "--jobs", "2"]);
    assert!(place.cells().iter().all(|cell| attempts(cell)[1]["resumed"] == true));
}
