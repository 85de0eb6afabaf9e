//! Output that cannot be written: closed pipes, full streams, full disks.

use super::*;

/// Commands that print much.
const PRINTING: [&[&str]; 7] = [
    &["schema"],
    &["explain"],
    &["completions", "bash"],
    &["render", "tiny.yaml"],
    &["plan", "tiny.yaml"],
    &["validate", "tiny.yaml"],
    &["doctor"],
];

#[cfg(unix)]
#[test]
fn a_reader_that_went_away_ends_a_command_quietly() {
    let place = Workplace::new(PIPELINE);
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(arguments).stdout(writer).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {text}");
        assert_eq!(text, "", "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error() {
    let (place, run) = with_run(&["train.epochs=1"]);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let eval = ["eval", name(&run)];
    let resume = ["run", "--resume", name(&run)];
    for arguments in PRINTING.into_iter().chain([&eval[..], &resume[..]]) {
        let output = place.command(arguments).stdout(full()).output().unwrap();
        let text = words(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains("cannot write to standard output"), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    }
}

/// Runs `arguments` where no file can grow: every write to a file fails, as on a full disk.
#[cfg(unix)]
fn on_a_full_disk(place: &Workplace, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        r#"ulimit -f 0; trap "" XFSZ; exec "$0" "$@""#,
        env!("CARGO_BIN_EXE_fsct"),
    ]);
    command.args(arguments).current_dir(place.path()).stdin(Stdio::null()).output().unwrap()
}

/// Every file below a folder, with its bytes.
#[cfg(unix)]
fn contents(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Whatever a command writes is complete or absent, and a file that was there keeps its content.
#[cfg(unix)]
#[test]
fn a_failed_write_leaves_neither_half_a_file_nor_a_temporary_one() {
    let (place, run) = with_run(&["train.epochs=1"]);
    let run = name(&run);
    draw_data_set(&place.path().join("images"));
    let commands: &[&[&str]] = &[
        &["schema", "--output", "OUT.json"],
        &["fit", "tiny.yaml", "--budget", "1GiB", "--output", "OUT.yaml"],
        &["init", "--output", "OUT.yaml"],
        &["migrate", "--output", "OUT.yaml", "--", "--dataset", "omniglot"],
        &["export", run, "--force", "--to", "OUT.safetensors"],
        &["export", run, "--force", "--to", "OUT.tar"],
        &["export", run, "--force", "--names", "reference", "--to", "OUT.pth"],
        &["eval", run, "--episodes", "2", "--predictions", "OUT.jsonl"],
        &["eval", run, "--episodes", "2", "--write-episodes", "OUT.jsonl"],
        &["eval", run, "--episodes", "2", "--metrics", "OUT.json"],
        &["compare", run, run, "--episodes", "2", "--json", "OUT.json"],
        &["report", run, "--output", "OUT.html"],
        &["data", "split", "images", "--force", "--output", "OUT.json"],
        &["data", "pack", "images", "--force", "--size", "16", "--output", "OUT.pack"],
    ];
    for arguments in commands {
        let target = arguments.iter().find(|it| it.starts_with("OUT.")).unwrap();
        for before in [None, Some("old")] {
            let path = place.path().join(target);
            let _ = fs::remove_file(&path);
            if let Some(text) = before {
                fs::write(&path, text).unwrap();
            }
            let files = contents(place.path());
            let output = on_a_full_disk(&place, arguments);
            let text = words(&output);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
            assert_eq!(contents(place.path()), files, "{arguments:?}: {text}");
            // `compare` writes its episodes first, and others refuse to replace a file.
            let named = text.contains(target) || arguments[0] == "compare" || before.is_some();
            assert!(named && !text.contains("panicked"), "{arguments:?}: {text}");
            let _ = fs::remove_file(&path);
        }
        let before = contents(place.path());
        let output = place.fsct(arguments);
        assert!(place.path().join(target).is_file(), "{arguments:?}: {}", words(&output));
        fs::remove_file(place.path().join(target)).unwrap();
        // The schema that `init` and `migrate` write next to a pipeline.
        let _ = fs::remove_file(place.path().join("pipeline.schema.json"));
        assert_eq!(contents(place.path()), before, "{arguments:?}");
    }
}
