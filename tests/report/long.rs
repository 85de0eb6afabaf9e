//! Long runs and many of them: the size of a page does not grow with them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::{Workplace, is_sound, page, succeeded, text};

const PIPELINE: &str =
    "data: {format: synthetic}\nbackbone: {kind: conv4s}\nmethod: {kind: profoct}\n";

/// Writes the folder of a run of so many steps. Of `right`, each is a query that is classified correctly.
fn write_run(folder: &Path, steps: usize, seed: usize, asked: &str) {
    fs::create_dir_all(folder).unwrap();
    let pipeline =
        format!("{PIPELINE}seed: {seed}\noptimizer: {{learning_rate: 0.00{}}}\n", 1 + seed % 9);
    fs::write(folder.join("pipeline.yaml"), pipeline).unwrap();
    let mut events = String::new();
    for step in 1..=steps {
        let noise = ((step * 7919 + seed * 31) % 1000) as f64 / 1000.0;
        let loss = 1.6 * (-(step as f64) / 3000.0).exp() + 0.3 * noise;
        let skipped = step % 997 == 0;
        writeln!(
            events,
            "{{\"event\":\"step\",\"step\":{step},\"epoch\":{},\"episodes\":{step},\"loss\":{},\
             \"cross_entropy\":{loss},\"accuracy\":{},\"variance\":{noise},\"invariance\":{loss},\
             \"covariance\":{},\"alpha\":0.5,\"beta\":9.0,\"gamma\":0.5,\"learning_rate\":0.001,\
             \"gradient_norm\":{},\"skipped\":{skipped},\"skipped_steps\":{},\"state\":{{\"loss_scale\":\
             {{\"scale\":65536.0,\"good_steps\":1,\"dynamic\":true}}}},\"current_bytes\":{},\
             \"peak_bytes\":60000000,\"seconds\":0.1,\"loader_share\":0.1,\"images_per_second\":{}}}",
            1 + step / 200,
            if skipped { "null".to_owned() } else { loss.to_string() },
            1.0 - loss / 2.0,
            10.0 * noise,
            3.0 + noise,
            step / 997,
            50_000_000 + step,
            700.0 + 100.0 * noise,
        )
        .unwrap();
        if step % 200 == 0 {
            writeln!(
                events,
                "{{\"event\":\"validated\",\"epoch\":{},\"accuracy\":{{\"mean\":{},\"ci95\":0.01,\
                 \"episodes\":200}},\"best\":false}}",
                step / 200,
                1.0 - loss / 2.0
            )
            .unwrap();
        }
    }
    fs::write(folder.join("events.jsonl"), events).unwrap();

    let classes: Vec<String> =
        (0..100).map(|at| format!("\"alphabet/character{at:03}\"")).collect();
    let scores: Vec<String> = classes
        .iter()
        .map(|it| format!("{it}:{{\"queries\":80,\"precision\":0.9,\"recall\":0.9,\"f1\":0.9}}"))
        .collect();
    let confusion: Vec<String> = (0..100)
        .map(|at| {
            let row = (0..100).filter(|other| (at + other) % 3 == 0);
            let row: Vec<String> = row.map(|other| format!("{}:4", classes[other])).collect();
            format!("{}:{{{}}}", classes[at], row.join(","))
        })
        .collect();
    let right: Vec<String> = (0..600usize)
        .map(|episode| {
            let bit = |query| (episode * 77 + query * 13 + seed * 5) % 10 < 7 + seed % 3;
            let line: String =
                (0..75usize).map(|query| if bit(query) { '1' } else { '0' }).collect();
            format!("\"{line}\"")
        })
        .collect();
    let evidence = format!(
        "{{\"version\":1,\"memory\":{{\"parts\":[],\"uses\":[],\"bytes\":[]}},\"test\":{{\"checkpoint\":\
         \"best\",\"episode\":{{\"n_way\":5,\"k_shot\":5,\"n_query\":15}},\"accuracy\":{{\"mean\":0.{},\
         \"ci95\":0.005,\"episodes\":600}},\"scores\":{{\"ece\":0.02,\"classes\":{{{}}},\"confusion\":\
         {{{}}}}},\"temperature\":1.0,\"asked\":\"{asked}\",\"right\":[{}],\"worst\":[],\"mistakes\":[]}}}}",
        70 + seed % 3,
        scores.join(","),
        confusion.join(","),
        right.join(",")
    );
    fs::write(folder.join("report.json"), evidence).unwrap();
}

#[test]
fn ten_thousand_steps_and_fifty_runs_have_small_pages() {
    let place = Workplace::new("");
    write_run(&place.path().join("long"), 10_000, 0, "00000000000000aa");
    succeeded(&place.fsct(&["-q", "report", "long"]));
    let one = page(place.path().join("long/report.html"));
    is_sound(&one);
    println!("10,000 steps: {} bytes", one.len());
    assert!(one.len() < 3_000_000 / 3, "{} bytes", one.len());
    assert!(one.contains("10 skipped") && one.contains("10 skipped steps"), "skipped steps");
    assert!(one.contains("The 30 classes that are confused most"));

    let names: Vec<String> = (0..50).map(|at| format!("run{at:02}")).collect();
    for (seed, name) in names.iter().enumerate() {
        write_run(&place.path().join(name), 2_000, seed, "00000000000000aa");
    }
    let mut arguments = vec!["-q", "report", "-o", "all.html"];
    arguments.extend(names.iter().map(String::as_str));
    succeeded(&place.fsct(&arguments));
    let all = page(place.path().join("all.html"));
    is_sound(&all);
    println!("50 runs: {} bytes", all.len());
    assert!(all.len() < 3_000_000 / 3, "{} bytes", all.len());
    assert!(all.contains("50 runs") && all.contains("40 less accurate runs"));
    assert_eq!(all.matches(" against run02</th>").count(), 49, "each with the most accurate");
    assert!(all.contains("optimizer.learning_rate</th>") && all.contains("seed</th>"));

    // Runs that were asked other questions are side by side without a paired test.
    write_run(&place.path().join("other"), 20, 3, "00000000000000bb");
    let output = place.fsct(&["report", "run00", "other"]);
    assert!(text(&output.stdout).contains("report.html"), "in the folder of the call");
    let two = page(place.path().join("report.html"));
    is_sound(&two);
    assert!(two.contains("not tested on the same episodes") && two.contains("fsct compare"));
}
