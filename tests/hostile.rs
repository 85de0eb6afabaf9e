//! Bad YAML never hurts: a clear error, in under a second and in bounded memory.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    error::Error,
    fs,
    time::{Duration, Instant},
};

use fsct::config::{Diagnostics, Overrides, load};
use proptest::prelude::*;

/// Most time that any text may take; the slowest takes a tenth.
const LIMIT: Duration = Duration::from_secs(1);
const TRIES: usize = 5;

fn diagnostics(bytes: &[u8]) -> Result<Diagnostics, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("hostile.yaml");
    fs::write(&path, bytes)?;
    // The fastest of a few tries: a busy machine may keep any one of them waiting.
    let mut fastest = Duration::MAX;
    let mut diagnostics = Diagnostics::default();
    for _ in 0..TRIES {
        let start = Instant::now();
        let refused = load(&path, &Overrides::default()).err();
        diagnostics = refused.ok_or("a hostile text was accepted")?;
        fastest = fastest.min(start.elapsed());
        if fastest < LIMIT {
            break;
        }
    }
    let taken = fastest;
    assert!(
        taken < LIMIT,
        "{taken:?} for {:?}…",
        String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
    );
    assert!(
        diagnostics
            .iter()
            .all(|diagnostic| !diagnostic.message.is_empty() && diagnostic.help.is_some())
    );
    Ok(diagnostics)
}

#[test]
fn large_and_deep_texts_are_refused_at_once() -> Result<(), Box<dyn Error>> {
    let nines = 900_000;
    let bomb = |levels: usize| {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..levels {
            let alias = format!("*a{}, ", level - 1).repeat(9);
            text += &format!("a{level}: &a{level} [{alias}x]\n");
        }
        text
    };
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("ten megabytes", b"data: x\n".repeat(1_250_000)),
        ("ten megabytes of one key", vec![b'a'; 10_000_000]),
        ("ten megabytes of NUL", vec![0; 10_000_000]),
        ("brackets", vec![b'['; nines]),
        ("braces", vec![b'{'; nines]),
        ("nested flow", b"{a: [".repeat(nines / 5)),
        ("nested block", b"- ".repeat(nines / 2)),
        ("nested keys", b"? ".repeat(nines / 2)),
        (
            "deep mappings",
            (0..1300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>().into(),
        ),
        ("one long key", [vec![b'a'; nines], b": 1".to_vec()].concat()),
        ("one long value", [b"name: ".to_vec(), vec![b'a'; nines]].concat()),
        ("an open quote", [b"name: \"".to_vec(), vec![b'a'; nines]].concat()),
        ("quoted line ends", [b"name: \"".to_vec(), vec![b'\n'; nines]].concat()),
        ("a block scalar", [b"name: |\n".to_vec(), b"  a\n".repeat(nines / 4)].concat()),
        ("commas", [b"[".to_vec(), b",".repeat(nines)].concat()),
        ("colons", b": ".repeat(nines / 2)),
        ("anchors", b"&a ".repeat(nines / 3)),
        ("tags", b"!a ".repeat(nines / 3)),
        ("comments", [b"# x\n".repeat(nines / 4), b"x".to_vec()].concat()),
        ("spaces", [vec![b' '; nines], b"x".to_vec()].concat()),
        ("tabs", vec![b'\t'; nines]),
        ("documents", b"---\n".repeat(nines / 4)),
        ("many keys", (0..80_000).map(|key| format!("k{key}: 1\n")).collect::<String>().into()),
        ("one key many times", b"seed: 1\n".repeat(15_000)),
        ("items", b"- 1\n".repeat(200_000)),
        ("digits", [b"seed: ".to_vec(), vec![b'9'; nines]].concat()),
        ("carriage returns", vec![b'\r'; nines]),
        ("alias bomb", bomb(9).into()),
        (
            "wide alias bomb",
            format!("a: &a [{}]\nb: [{}]", "x,".repeat(9000), "*a,".repeat(9000)).into(),
        ),
        ("escapes", [b"name: \"".to_vec(), b"\\x41".repeat(nines / 4), b"\"".to_vec()].concat()),
        ("invalid UTF-8", vec![0xff; nines]),
        ("half a character", "é".as_bytes()[..1].to_vec()),
        ("UTF-16", "data: x".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16 with its mark", [vec![0xff, 0xfe], [b'a', 0].repeat(10)].concat()),
        ("nothing", Vec::new()),
        ("a byte order mark", "\u{feff}".into()),
        ("an escape sequence", b"name: \x1b[2J".to_vec()),
    ];
    for (name, text) in texts {
        diagnostics(&text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

#[test]
fn a_diagnostic_never_carries_what_a_terminal_would_obey() -> Result<(), Box<dyn Error>> {
    for text in [
        "name: \x1b[2J\n",
        "\x1b]0;x\x07: 1\n",
        "name: \"\\e[2J\\u0007\"\nseed: x\n",
        "\"\\e[2J\": 1\n",
    ] {
        let rendered = fsct::cli::plain(&diagnostics(text.as_bytes())?);
        assert!(!rendered.contains(['\x1b', '\x07']), "{rendered:?}");
    }
    Ok(())
}

/// Pieces of which pipelines, and texts that nearly are, are made.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "data:",
        "format: ",
        "synthetic",
        "omniglot",
        "backbone:",
        "kind: ",
        "conv4s",
        "method:",
        "fsct",
        "profoct",
        "memory:",
        "amp: ",
        "f16",
        "off",
        "vic:",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "#",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "? ",
        "|",
        ">",
        "'",
        "\"",
        "---",
        "...",
        "%YAML 1.2",
        "<<: ",
        "~",
        "null",
        "1e400",
        "-0",
        ".inf",
        ".nan",
        "0x",
        "0o9",
        "999999999999999999999999999999999999999999",
        "\t",
        "\r\n",
        "\u{85}",
        "\u{feff}",
        "é",
        "数",
        "\\",
        "@",
        "`",
        "image_size: ",
        "seed: ",
        "version: ",
        "name: ",
        "loss_scale: ",
        "weight: ",
        "device: cuda:",
    ]);
    prop_oneof![4 => fixed.prop_map(str::to_owned), 1 => any::<String>(), 1 => any::<f64>().prop_map(|x| x.to_string())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_loads_or_is_refused(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        let start = Instant::now();
        match fsct::config::load_str("x", &text, &Overrides::default()) {
            Ok(loaded) => {
                let again = fsct::config::load_str("y", &loaded.pipeline.to_yaml(), &Overrides::default());
                prop_assert_eq!(again.map(|again| again.pipeline), Ok(loaded.pipeline));
            }
            Err(diagnostics) => {
                prop_assert!(diagnostics.has_errors());
                // Rendering looks at every place.
                prop_assert!(!fsct::cli::plain(&diagnostics).is_empty());
            }
        }
        prop_assert!(start.elapsed() < LIMIT);
    }

    #[test]
    fn any_change_of_a_good_pipeline_loads_or_is_refused(
        at in 0usize..700, cut in 0usize..8, insert in piece(), set in "[a-z_.]{0,12}=?[ -~]{0,8}",
    ) {
        let mut text = include_str!("../pipelines/omniglot.yaml").to_owned();
        let floor = |mut at: usize| { while !text.is_char_boundary(at) { at -= 1 } at };
        let start = floor(at.min(text.len()));
        let end = floor((start + cut).min(text.len()));
        text.replace_range(start..end.max(start), &insert);
        let overrides = Overrides { set: vec![set.clone()], environment: vec![(format!("FSCT_{set}"), insert)] };
        if let Err(diagnostics) = fsct::config::load_str("x", &text, &overrides) {
            prop_assert!(diagnostics.has_errors());
            prop_assert!(!fsct::cli::plain(&diagnostics).is_empty());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(diagnostics(&bytes).is_ok());
    }

    #[test]
    fn any_command_line_migrates(words in prop::collection::vec(piece(), 0..12)) {
        let words: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(index, word)| if index % 2 == 0 { format!("--{word}") } else { word.clone() })
            .collect();
        let migrated = fsct::config::migrate(&words, None, None);
        prop_assert!(migrated.yaml.starts_with("# yaml-language-server"));
    }
}
