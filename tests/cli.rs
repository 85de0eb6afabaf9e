//! The commands around pipeline files, as a shell sees them.

use std::{error::Error, fs};

use assert_cmd::Command;
use serde_json::Value;

type Outcome = Result<(), Box<dyn Error>>;

const GOOD: &str = "data: {format: synthetic}\nbackbone: {kind: conv4s}\nmethod: {kind: fsct}\n";

fn fsct() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FSCT_")) {
        command.env_remove(name);
    }
    command
}

fn stdout(command: &mut Command) -> Result<String, Box<dyn Error>> {
    Ok(String::from_utf8(command.output()?.stdout)?)
}

fn folder(files: &[(&str, &str)]) -> Result<tempfile::TempDir, std::io::Error> {
    let folder = tempfile::tempdir()?;
    for (name, text) in files {
        fs::write(folder.path().join(name), text)?;
    }
    Ok(folder)
}

#[test]
fn validate_exits_with_0_1_or_2() -> Outcome {
    let bad = GOOD.replace("fsct", "fstc");
    let unwise = format!("{GOOD}memory: {{accumulation_steps: 2}}\n");
    let folder = folder(&[("good.yaml", GOOD), ("bad.yaml", &bad), ("unwise.yaml", &unwise)])?;
    let run = |arguments: &[&str]| {
        let mut command = fsct();
        command.current_dir(folder.path()).arg("validate").args(arguments).assert()
    };
    run(&["good.yaml"]).code(0).stdout("1 file: 1 valid\n");
    run(&["bad.yaml", "good.yaml"]).code(1);
    run(&["unwise.yaml"]).code(0);
    run(&["unwise.yaml", "--deny-warnings"]).code(1);
    run(&["."]).code(1);
    run(&["g*.yaml"]).code(0);
    run(&["absent.yaml"]).code(2);
    run(&["*.json"]).code(2);
    run(&["good.yaml", "absent.yaml", "bad.yaml"]).code(2);
    run(&["good.yaml", "--set", "episode.n_way=1"]).code(1);
    Ok(())
}

#[cfg(not(debug_assertions))]
#[test]
fn a_thousand_files_take_less_than_a_second_of_one_core() -> Outcome {
    let folder = tempfile::tempdir()?;
    for index in 0..1000 {
        let text = if index % 2 == 0 { GOOD.to_owned() } else { GOOD.replace("fsct", "fstc") };
        fs::write(folder.path().join(format!("{index}.yaml")), text)?;
    }
    let start = std::time::Instant::now();
    let output = fsct().args(["validate", "--offline"]).arg(folder.path()).output()?;
    let taken = start.elapsed();
    assert_eq!(output.status.code(), Some(1));
    assert!(taken.as_secs_f64() < 1.0, "{taken:?}");
    Ok(())
}

#[test]
fn validate_looks_at_folders_unless_offline() -> Outcome {
    let folder = folder(&[("p.yaml", &GOOD.replace("synthetic", "omniglot, root: nowhere"))])?;
    let path = folder.path().join("p.yaml");
    let said = stdout(fsct().arg("validate").arg(&path))?;
    assert!(said.contains("`data.root: nowhere` does not exist"), "{said}");
    fsct().arg("validate").arg(&path).assert().code(1);
    fsct().args(["validate", "--offline"]).arg(&path).assert().code(0);
    Ok(())
}

#[test]
fn validate_looks_whether_the_data_has_such_episodes() -> Outcome {
    let folder = tempfile::tempdir()?;
    for alphabet in ["Greek", "Latin", "Sanskrit"] {
        for character in ["character01", "character02", "character03"] {
            let path =
                folder.path().join("data/images_background_x").join(alphabet).join(character);
            fs::create_dir_all(&path)?;
            for drawing in 1..=4 {
                let name = format!("{character}_{drawing:02}.png").replace("character", "00");
                image::GrayImage::from_pixel(8, 8, image::Luma([255])).save(path.join(name))?;
            }
        }
    }
    let text = "data: {format: omniglot, root: data, image_size: 28}\nbackbone: {kind: conv4s}\n\
                method: {kind: fsct}\nepisode: {n_way: 3, k_shot: 1, n_query: 3}\n";
    let path = folder.path().join("p.yaml");
    let validate = |text: &str| -> Result<(Option<i32>, String), Box<dyn Error>> {
        fs::write(&path, text)?;
        let output = fsct().arg("validate").arg(&path).output()?;
        Ok((output.status.code(), String::from_utf8(output.stdout)?))
    };
    let (code, said) = validate(text)?;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = validate(&text.replace("n_way: 3", "n_way: 4"))?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("fsct::episode::n_way") && said.contains("p.yaml:4:18"), "{said}");
    let (code, said) = validate(&text.replace("n_query: 3", "n_query: 4"))?;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = validate(&format!("{text}test: {{episode: {{n_query: 4}}}}\n"))?;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("fsct::test::episode::n_query") && said.contains("p.yaml:5:27"),
        "{said}"
    );
    fs::write(
        folder.path().join("data/images_background_x/Greek/character01/0001_01.png"),
        "no image",
    )?;
    let (code, said) = validate(text)?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("fsct::data::root::unusable"), "{said}");
    Ok(())
}

#[cfg(not(feature = "cuda"))]
#[test]
fn validate_looks_for_the_device_unless_offline() -> Outcome {
    let folder = folder(&[("p.yaml", &format!("{GOOD}device: cuda\n"))])?;
    let path = folder.path().join("p.yaml");
    let said = stdout(fsct().arg("validate").arg(&path))?;
    assert!(
        said.contains("fsct::device::not_compiled") && said.contains("--features cuda"),
        "{said}"
    );
    fsct().args(["validate", "--offline"]).arg(&path).assert().code(0);
    Ok(())
}

#[test]
fn json_lists_one_object_a_fault() -> Outcome {
    let folder = folder(&[(
        "p.yaml",
        "data: {format: x}\nbackbone: {kind: y}\nmethod: {kind: fsct}\nhorse: 1\n",
    )])?;
    let text = stdout(
        fsct()
            .current_dir(folder.path())
            .args(["validate", "--format", "json", "p.yaml", "q.yaml"]),
    )?;
    let faults: Vec<Value> = serde_json::from_str(&text)?;
    assert_eq!(faults.len(), 4);
    for fault in &faults {
        let keys: Vec<&String> = fault.as_object().ok_or("an object")?.keys().collect();
        assert_eq!(keys, ["file", "line", "column", "path", "code", "severity", "message", "help"]);
    }
    assert_eq!((&faults[2]["line"], &faults[2]["column"]), (&4.into(), &1.into()));
    assert_eq!(faults[3]["code"], "fsct::file");
    Ok(())
}

#[test]
fn the_schema_in_the_repository_is_current() -> Outcome {
    fsct().args(["schema", "--check"]).assert().code(0);
    let folder = folder(&[("stale.json", "{}")])?;
    fsct().arg("schema").arg("--check").arg(folder.path().join("stale.json")).assert().code(1);
    fsct().args(["schema", "--check", "no/such.json"]).assert().code(2);
    assert_eq!(stdout(fsct().arg("schema"))?, fs::read_to_string("schemas/pipeline.schema.json")?);
    Ok(())
}

#[test]
fn every_shipped_pipeline_is_valid_without_a_warning_and_names_the_schema() -> Outcome {
    let validator = jsonschema::draft7::new(fsct::config::schema())?;
    let mut count = 0;
    for entry in fs::read_dir("pipelines")? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&path)?;
        let modeline = "# yaml-language-server: $schema=../schemas/pipeline.schema.json\n";
        assert!(text.starts_with(modeline), "{}", path.display());
        assert!(validator.is_valid(&serde_yaml::from_str::<Value>(&text)?), "{}", path.display());
        fsct().args(["validate", "--offline", "--deny-warnings"]).arg(&path).assert().code(0);
    }
    assert!(count >= 2, "only {count} pipelines");
    Ok(())
}

#[test]
fn explain_speaks_of_keys_and_codes() -> Outcome {
    let amp = stdout(fsct().args(["explain", "memory.amp"]))?;
    for word in ["off", "f16", "bf16", "default  off", "Saves", "Costs"] {
        assert!(amp.contains(word), "{word} in\n{amp}");
    }
    assert_eq!(stdout(fsct().args(["explain", "fsct::memory::amp"]))?, amp);
    assert!(stdout(fsct().args(["explain", "fsct::memory::loss_scale::unused"]))?.contains("f16"));
    assert!(stdout(fsct().arg("explain"))?.contains("memory.amp"));
    refuses(fsct().args(["explain", "memory.apm"]), "did you mean `memory.amp`?")?;
    Ok(())
}

fn refuses(command: &mut Command, help: &str) -> Outcome {
    let output = command.output()?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(help), "{help} in\n{said}");
    Ok(())
}

#[test]
fn render_names_the_environment_the_set_and_the_file() -> Outcome {
    let folder = folder(&[("p.yaml", GOOD)])?;
    let mut command = fsct();
    command
        .current_dir(folder.path())
        .env("FSCT_MEMORY__AMP", "f16")
        .args(["render", "p.yaml", "--set", "seed=9"]);
    let text = stdout(&mut command)?;
    for (value, origin) in [
        ("amp: f16", "# FSCT_MEMORY__AMP=f16"),
        ("seed: 9", "# --set seed=9"),
        ("kind: conv4s", "# p.yaml:2:18"),
        ("k_shot: 5", "# default"),
    ] {
        assert!(
            text.lines().any(|line| line.contains(value) && line.ends_with(origin)),
            "{value} in\n{text}"
        );
    }
    let values: Vec<Value> = serde_json::from_str(&stdout(command.args(["--format", "json"]))?)?;
    let amp = values.iter().find(|value| value["path"] == "memory.amp").ok_or("memory.amp")?;
    assert_eq!((&amp["value"], &amp["origin"]), (&"f16".into(), &"environment".into()));
    Ok(())
}

/// Images that differ from each other, and from those of folders with other names.
fn images(folder: &std::path::Path, count: usize) -> Outcome {
    fs::create_dir_all(folder)?;
    let name = folder.file_name().unwrap_or_default().as_encoded_bytes();
    for at in 0..count {
        image::GrayImage::from_fn(16, 16, |x, y| match name.get(x as usize) {
            Some(letter) if y == 0 => image::Luma([*letter]),
            _ => image::Luma([(x * 16 + y) as u8 ^ at as u8]),
        })
        .save(folder.join(format!("{at:04}_01.png")))?;
    }
    Ok(())
}

/// Fewer classes and images than the usual episode, no splits, no image that can be read.
#[test]
fn init_looks_at_the_data() -> Outcome {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    for (split, classes) in [("train", 4), ("val", 3), ("test", 3)] {
        for class in 0..classes {
            images(&at("splits").join(split).join(format!("{split}{class}")), 4)?;
        }
    }
    for class in 0..4 {
        images(&at("flat").join(format!("c{class}")), 4)?;
    }
    fs::create_dir_all(at("none/a"))?;
    fs::write(at("none/a/x.webp"), "not an image")?;
    fs::create_dir_all(at("few"))?;
    images(&at("few/train/a"), 3)?;
    images(&at("few/test/b"), 3)?;
    for (data, expected) in [("splits", "n_way: 3"), ("flat", "splits: splits.json")] {
        let file = format!("{data}.yaml");
        let mut init = fsct();
        let said = stdout(init.current_dir(folder.path()).args(["init", data, "-o", &file]))?;
        assert!(said.contains(&format!("next: fsct run {file}")), "{said}");
        let text = fs::read_to_string(at(&file))?;
        assert!(text.contains(expected) && text.contains("n_query: 3"), "{text}");
        let mut validate = fsct();
        validate.current_dir(folder.path()).args(["validate", "--deny-warnings", &file]);
        validate.assert().code(0);
    }
    for data in ["none", "few", "absent"] {
        let mut init = fsct();
        init.current_dir(folder.path()).args(["init", data, "-o", "refused.yaml"]);
        init.assert().code(2);
        assert!(!at("refused.yaml").exists(), "{data}");
    }
    Ok(())
}

#[test]
fn init_writes_a_pipeline_that_is_valid_where_it_stands() -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    for split in ["images_background_small1", "images_evaluation"] {
        for class in 0..24 {
            let class = data.join(split).join("Greek").join(format!("character{class:02}"));
            // One shot and the ten queries of a starter.
            images(&class, 11)?;
        }
    }
    let mut init = fsct();
    init.current_dir(folder.path()).args(["init", "data", "-o", "mine.yaml"]).assert().code(0);
    let text = fs::read_to_string(folder.path().join("mine.yaml"))?;
    assert!(text.contains("format: omniglot") && text.contains("name: mine"), "{text}");
    fsct()
        .current_dir(folder.path())
        .args(["validate", "--offline", "--deny-warnings", "mine.yaml"])
        .assert()
        .code(0);
    assert!(folder.path().join("pipeline.schema.json").exists(), "the modeline's schema is there");
    refuses(&mut init, "choose another name")?;
    // Memory settings for a budget, which the plan then keeps.
    let plain = stdout(fsct().current_dir(folder.path()).args([
        "plan",
        "--offline",
        "--format",
        "json",
        "mine.yaml",
    ]))?;
    let total = serde_json::from_str::<serde_json::Value>(&plain)?["peak_bytes"]["total"].as_u64();
    let budget = format!("{}KiB", total.ok_or("a total")? * 9 / 10 / 1024);
    fsct()
        .current_dir(folder.path())
        .args(["init", "-o", "small.yaml", "--budget", &budget])
        .assert()
        .code(0);
    let text = fs::read_to_string(folder.path().join("small.yaml"))?;
    assert!(text.contains("budget") && text.contains("recompute: block"), "{text}");
    fsct().current_dir(folder.path()).args(["plan", "--offline", "small.yaml"]).assert().code(0);
    fs::create_dir(folder.path().join("empty"))?;
    fsct().current_dir(folder.path()).args(["init", "empty", "-o", "x.yaml"]).assert().code(2);
    Ok(())
}

/// The guide's command lines, joined from the lines of its examples.
const GUIDE: [&str; 3] = [
    "--method FSCT_cosine --dataset miniImagenet --backbone ResNet18 --gradient_accumulation_steps 4 --use_amp 1 \
     --n_way 5 --k_shot 5 --n_query 8",
    "--method ProFOCT_cosine --dataset miniImagenet --backbone ResNet34 --gradient_accumulation_steps 2 --use_amp 1 \
     --n_way 5 --k_shot 5 --n_query 16",
    "--method ProFOCT_cosine --dataset miniImagenet --backbone ResNet34 --FETI 1 --gradient_accumulation_steps 1 \
     --use_amp 1 --n_way 5 --k_shot 5 --n_query 16",
];

#[test]
fn migrate_keeps_every_number_of_the_guides_examples() -> Outcome {
    for line in GUIDE {
        let output = fsct()
            .args(["migrate", "--", "python", "train_test.py"])
            .args(line.split(' '))
            .output()?;
        let yaml = String::from_utf8(output.stdout)?;
        let words: Vec<&str> = line.split(' ').collect();
        for pair in words.chunks(2) {
            let (flag, value) = (pair[0], pair[1]);
            let expected = match flag {
                "--n_way" | "--k_shot" | "--n_query" => format!("{}: {value}", &flag[2..]),
                "--gradient_accumulation_steps" => format!("accumulation_steps: {value}"),
                "--use_amp" => "amp: f16".into(),
                "--backbone" => format!("kind: {}", value.to_lowercase()),
                "--method" => format!("kind: {}", value.to_lowercase().replace("_cosine", "")),
                _ => continue,
            };
            assert!(yaml.contains(&expected), "{expected} in\n{yaml}");
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // And it plans.
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("moved.yaml");
        fs::write(&file, yaml)?;
        let plan = stdout(fsct().args(["plan", "--offline", "--format", "json"]).arg(file))?;
        assert!(plan.contains("\"fits\": true"), "{plan}");
    }
    Ok(())
}

#[test]
fn migrate_ends_in_a_pipeline_that_runs_where_all_of_it_exists() -> Outcome {
    let folder = tempfile::tempdir()?;
    let line =
        "--method ProFOCT_softmax --dataset Omniglot --backbone Conv4S --use_amp 0 --k_shot 1";
    let output = fsct()
        .current_dir(folder.path())
        .args(["migrate", "--root", "data", "-o", "moved.yaml", "--"])
        .args(line.split(' '))
        .output()?;
    assert!(folder.path().join("moved.yaml").exists());
    let code = fsct()
        .current_dir(folder.path())
        .args(["validate", "--offline", "moved.yaml"])
        .output()?
        .status
        .code();
    assert_eq!(code, output.status.code(), "validate and migrate agree");
    Ok(())
}

#[test]
fn a_run_prints_its_events_for_programs() -> Outcome {
    let pipeline = "device: cpu\ndata: {format: synthetic, image_size: 16}\n\
        episode: {n_way: 2, k_shot: 1, n_query: 1}\nbackbone: {kind: conv4s}\n\
        method: {kind: protonet}\ntrain: {epochs: 2, episodes_per_epoch: 2}\n\
        validate: {episodes: 2}\ntest: {episodes: 2}\n";
    let folder = folder(&[("p.yaml", pipeline)])?;
    let mut run = fsct();
    run.current_dir(folder.path()).args(["run", "p.yaml", "--format", "json"]);
    let printed = stdout(&mut run)?;
    let events: Vec<serde_json::Value> =
        printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let epochs: Vec<_> =
        events.iter().filter(|it| it["event"] == "validated").map(|it| &it["epoch"]).collect();
    assert_eq!(epochs, [1, 2]);
    let last = events.last().ok_or("no event")?;
    assert_eq!(last["event"], "finished");
    let runs = folder.path().join(last["folder"].as_str().ok_or("no folder")?);
    assert_eq!(printed, std::fs::read_to_string(runs.join("events.jsonl"))?, "the same lines");
    let result: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(runs.join("metrics.json"))?)?;
    assert_eq!(last["metrics"], result);
    Ok(())
}

#[test]
fn completions_know_the_commands() -> Outcome {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(fsct().args(["completions", shell]))?;
        for command in ["validate", "explain", "migrate"] {
            assert!(script.contains(command), "{command} in {shell}");
        }
    }
    Ok(())
}

#[test]
fn each_command_has_a_manual_page() -> Outcome {
    let folder = tempfile::tempdir()?;
    let pages = folder.path().join("man1");
    stdout(fsct().arg("man").arg(&pages))?;
    for (page, word) in
        [("fsct.1", "validate"), ("fsct-run.1", "resume"), ("fsct-data-pack.1", "size")]
    {
        let text = fs::read_to_string(pages.join(page))?;
        assert!(text.starts_with(".ie") && text.contains(".TH fsct"), "{page}: {text}");
        assert!(text.contains(word), "{word} in {page}");
    }
    // A folder whose name a file has.
    fs::write(folder.path().join("file"), "")?;
    let refused = fsct().arg("man").arg(folder.path().join("file/man1")).output()?;
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr)?.contains("name a folder that can be written to"));
    Ok(())
}

#[test]
fn the_reference_of_the_documentation_is_current() -> Outcome {
    let page = "docs/configuration.md";
    let text = fs::read_to_string(page)?;
    let (before, _) = text.split_once("<!-- reference -->").ok_or("the mark of the reference")?;
    let current = format!("{before}<!-- reference -->\n\n{}", fsct::config::reference());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page, current)?;
        return Ok(());
    }
    assert!(
        text == current,
        "{page} is stale: run `UPDATE_DOCS=1 cargo test --release --test cli`"
    );
    Ok(())
}
