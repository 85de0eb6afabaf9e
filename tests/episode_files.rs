//! Files of episodes as other programs write them: a byte order mark, Windows lines, UTF-16, another encoding.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;

use common::layout::{Outcome, at, folders, open};
use fsct::config::Episode;
use fsct::data::{Sampler, Split, Stream, read_episodes, write_episodes};

const EPISODE: Episode = Episode { n_way: 2, k_shot: 1, n_query: 1 };

#[test]
fn a_byte_order_mark_and_windows_lines_change_nothing() -> Outcome {
    let root = tempfile::tempdir()?;
    folders(root.path())?;
    let data = open(&at(root.path()), "")?;
    let set = data.split(Split::Novel);
    let sampler = Sampler::new(set, EPISODE, 3, Stream::Test)?;
    let episodes: Vec<_> = (0..4).map(|number| sampler.episode(number)).collect();
    let path = root.path().join("episodes.jsonl");
    write_episodes(&path, set, &episodes)?;
    assert_eq!(read_episodes(&path, set, EPISODE)?, episodes);

    let text = fs::read_to_string(&path)?;
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    fs::write(&path, &windows)?;
    assert_eq!(read_episodes(&path, set, EPISODE)?, episodes);
    let utf16: Vec<u8> = windows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&path, utf16)?;
    assert_eq!(read_episodes(&path, set, EPISODE)?, episodes);

    fs::write(&path, [text.as_bytes(), b"{\"classes\": [\"caf\xe9\"]}\n"].concat())?;
    let said = read_episodes(&path, set, EPISODE).unwrap_err().to_string();
    assert!(said.contains("line 5 is not UTF-8"), "{said}");
    Ok(())
}
