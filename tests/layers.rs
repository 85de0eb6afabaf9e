//! `fsct render`, `validate` and `run` read every combination of layers alike.

use std::{error::Error, fs, path::Path};

use assert_cmd::Command;
use fsct::config::{Overrides, Pipeline, load_str};

type Outcome = Result<(), Box<dyn Error>>;

/// A key in each of the layers, lowest first: a partial mapping, a list, a scalar.
const LAYERS: [(&str, &str, &str); 3] = [
    ("file", "data.normalize.mean", "[0.5]"),
    ("environment", "data.normalize.std", "[0.25]"),
    ("set", "data.normalize.std", "[0.125]"),
];

fn fsct(
    folder: &Path,
    environment: Option<&str>,
    set: Option<&str>,
    arguments: &[&str],
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FSCT_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments);
    if let Some(value) = environment {
        command.env("FSCT_DATA__NORMALIZE__STD", value);
    }
    if let Some(value) = set {
        command.args(["--set", &format!("data.normalize.std={value}")]);
    }
    command
}

/// The pipeline that a run recorded.
fn recorded(runs: &Path) -> Result<Pipeline, Box<dyn Error>> {
    let run = fs::read_dir(runs)?.next().ok_or("a run")??.path();
    let text = fs::read_to_string(run.join("pipeline.yaml"))?;
    Ok(load_str("recorded", &text, &Overrides::default()).map_err(|it| it.to_string())?.pipeline)
}

#[test]
fn render_validate_and_run_agree_on_every_combination_of_layers() -> Outcome {
    let base = "data: {format: synthetic, root: glyphs, image_size: 16, normalize: {mean: [0.1], std: [0.5]}}\n\
                episode: {n_way: 2, k_shot: 1, n_query: 1}\nbackbone: {kind: conv4s}\n\
                method: {kind: protonet}\ntrain: {epochs: 1, episodes_per_epoch: 1}\n\
                validate: {episodes: 1}\ntest: {episodes: 1}\n";
    for combination in 0..8 {
        let has = |at: usize| combination & (1 << at) != 0;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("base.yaml"), base)?;
        let own = match has(0) {
            true => format!("data: {{normalize: {{mean: {}}}}}\n", LAYERS[0].2),
            false => String::new(),
        };
        fs::write(folder.path().join("p.yaml"), format!("extends: base.yaml\n{own}"))?;
        let environment = has(1).then_some(LAYERS[1].2);
        let set = has(2).then_some(LAYERS[2].2);
        let std = if has(2) {
            0.125
        } else if has(1) {
            0.25
        } else {
            0.5
        };
        let mean = if has(0) { 0.5 } else { 0.1 };

        let run = |arguments: &[&str]| fsct(folder.path(), environment, set, arguments);
        let rendered = run(&["render", "p.yaml"]).output()?;
        let rendered = String::from_utf8(rendered.stdout)?;
        let rendered = load_str("rendered", &rendered, &Overrides::default())
            .map_err(|it| format!("{combination}: {it}\n{rendered}"))?
            .pipeline;
        let fsct::config::Normalize::Custom(moments) = &rendered.data.normalize else {
            return Err(format!("{combination}: {:?}", rendered.data.normalize).into());
        };
        assert_eq!(
            (&moments.mean[..], &moments.std[..]),
            (&[mean][..], &[std][..]),
            "{combination}"
        );

        run(&["validate", "p.yaml"]).assert().code(0);
        run(&["run", "p.yaml", "-q", "--runs", "runs"]).assert().code(0);
        let recorded = recorded(&folder.path().join("runs"))?;
        assert_eq!(recorded.data.normalize, rendered.data.normalize, "{combination}");
        assert_eq!(recorded.method, rendered.method);
        assert_eq!(recorded.train, rendered.train);
    }
    Ok(())
}

/// What one refuses the others refuse, in the same words.
#[test]
fn render_validate_and_run_refuse_alike() -> Outcome {
    let folder = tempfile::tempdir()?;
    let text = "data: {format: synthetic}\nbackbone: {kind: conv4s}\nmethod: {kind: protonet}\n";
    fs::write(folder.path().join("p.yaml"), text)?;
    let mut said = Vec::new();
    for arguments in [&["render", "p.yaml"][..], &["validate", "p.yaml"], &["run", "p.yaml"]] {
        let mut command = fsct(folder.path(), Some("[0.5]"), None, arguments);
        let output = command.args(["--set", "backbone.weights.path=a.pth"]).output()?;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = String::from_utf8([output.stdout, output.stderr].concat())?;
        for words in
            ["`data.normalize` lacks the key `mean`", "`backbone.weights` lacks the key `from`"]
        {
            assert!(text.contains(words), "{arguments:?}: {words} in\n{text}");
        }
        said.push(
            text.lines().filter(|line| line.contains('×')).map(str::to_owned).collect::<Vec<_>>(),
        );
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
    Ok(())
}
