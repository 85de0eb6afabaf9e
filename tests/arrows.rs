//! The arrows of the crate: no files import each other in a circle, and no module imports one above it.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::{Path, PathBuf},
};

type Outcome = Result<(), Box<dyn Error>>;

/// The top modules from the lowest to the highest; those of one row do not import each other.
const ORDER: &[&[&str]] = &[
    &["atomic_file", "network", "numbers", "panics", "tiling"],
    &["config", "model"],
    &["error", "device", "loss", "weights"],
    &["data", "onnx"],
    &["stage"],
    &["plan"],
    &["graph"],
    &["run"],
    &["report"],
    &["sweep"],
    &["cli"],
    &["main"],
];

/// Circles and arrows that are known and have to go, file by file: these lists only ever get shorter.
const KNOWN_CIRCLES: &[&str] = &[];
const KNOWN_ARROWS_UP: &[(&str, &str)] = &[];

/// A source file without comments, strings and tests.
struct Room {
    path: String,
    /// Its module path, such as `["config", "text"]` for `config/text/mod.rs`.
    module: Vec<String>,
    code: String,
}

fn rooms() -> Result<Vec<Room>, Box<dyn Error>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<PathBuf> = vec![source.clone()];
    let mut rooms = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(&source)?.with_extension("");
            let parts = relative.iter().map(|part| part.to_string_lossy().into_owned());
            let mut module: Vec<String> = parts.collect();
            if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                module.pop();
            }
            let code = plain(&fs::read_to_string(&path)?);
            rooms.push(Room {
                path: format!("src/{}", path.strip_prefix(&source)?.display()),
                module,
                code,
            });
        }
    }
    // A file that only tests compile is no part of the house.
    let tests: BTreeSet<Vec<String>> = rooms
        .iter()
        .flat_map(|room| {
            let only = room.code.split("#[cfg(test)]mod ").skip(1);
            only.map(|rest| [&room.module[..], &[word(rest).to_owned()]].concat())
        })
        .collect();
    rooms.retain(|room| !tests.contains(&room.module));
    rooms.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(rooms)
}

/// The code without comments, strings, white space between tokens, and the tests at its end.
fn plain(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            3
        } else {
            let between_words = code.ends_with(is_word) && rest.trim_start().starts_with(is_word);
            match c.is_whitespace() {
                true if between_words && !code.ends_with(' ') => code.push(' '),
                true => {}
                false => code.push(c),
            }
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// Every path at the start of `text`, `a::{b, c::d}` spread out, and what follows it.
fn paths(text: &str, prefix: &[String]) -> (Vec<Vec<String>>, usize) {
    let name = word(text);
    let mut path = prefix.to_vec();
    if !name.is_empty() {
        path.push(name.to_owned());
    }
    let rest = &text[name.len()..];
    let Some(after) = rest.strip_prefix("::") else { return (vec![path], name.len()) };
    let start = name.len() + 2;
    if !after.starts_with('{') {
        let (found, length) = paths(after, &path);
        return (found, start + length);
    }
    let mut found = Vec::new();
    let mut at = start + 1;
    while at < text.len() && !text[at..].starts_with('}') {
        let (more, length) = paths(&text[at..], &path);
        found.extend(more);
        at += length;
        // ` as name`, and the comma.
        at += text[at..].find([',', '}']).unwrap_or(text.len() - at);
        at += usize::from(text[at..].starts_with(','));
    }
    (found, at + 1)
}

/// The paths that a file names by `crate::` and `super::`, from the root of the crate. A module that
/// puts its own children together names them without either, and is no circle with them.
fn named(room: &Room) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in room.code.match_indices("::") {
        let start = room.code[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        let first = &room.code[start..at];
        // Not the middle of a longer path.
        if room.code[..start].ends_with("::") {
            continue;
        }
        match first {
            "crate" | "super" => {}
            _ => continue,
        }
        for path in paths(&room.code[start..], &[]).0 {
            let supers = path.iter().take_while(|part| *part == "super").count();
            let above = room.module.len().saturating_sub(supers);
            found.push(match supers {
                0 => path[1..].to_vec(),
                _ => [&room.module[..above], &path[supers..]].concat(),
            });
        }
    }
    found
}

/// What each module hands on by `pub use`: its name → the path that it stands for.
type Faces = BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>;

fn faces(rooms: &[Room]) -> Faces {
    let mut faces = Faces::new();
    for room in rooms {
        let mut names = BTreeMap::new();
        for (at, start) in
            room.code.match_indices("pub use ").chain(room.code.match_indices("pub(crate)use "))
        {
            for path in paths(&room.code[at + start.len()..], &[]).0 {
                let full = match path.first().map(String::as_str) {
                    Some("crate") => path[1..].to_vec(),
                    _ => [&room.module[..], &path[..]].concat(),
                };
                names.insert(path.last().cloned().unwrap_or_default(), full);
            }
        }
        faces.insert(room.module.clone(), names);
    }
    faces
}

/// The module that defines what a path names, through every `pub use`.
fn home(path: &[String], faces: &Faces, depth: usize) -> Option<Vec<String>> {
    let mut module: &[String] = &[];
    for length in 0..=path.len() {
        if faces.contains_key(&path[..length]) {
            module = &path[..length];
        }
    }
    let rest = &path[module.len()..];
    let handed_on = rest.first().and_then(|name| faces.get(module)?.get(name));
    match handed_on {
        Some(to) if depth < 8 && to[..] != path[..] => {
            home(&[&to[..], &rest[1..]].concat(), faces, depth + 1)
        }
        _ => faces.contains_key(module).then(|| module.to_vec()),
    }
}

/// Which file imports which.
fn arrows(rooms: &[Room]) -> BTreeSet<(usize, usize)> {
    let faces = faces(rooms);
    let index: BTreeMap<&[String], usize> =
        rooms.iter().enumerate().map(|(at, room)| (&room.module[..], at)).collect();
    let mut arrows = BTreeSet::new();
    for (from, room) in rooms.iter().enumerate() {
        let handing_on = Room {
            path: String::new(),
            module: room.module.clone(),
            // Handing a name on is not using it.
            code: room
                .code
                .split(';')
                .filter(|it| !it.contains("pub use ") && !it.contains("pub(crate)use "))
                .collect::<Vec<_>>()
                .join(";"),
        };
        for path in named(&handing_on) {
            let to = home(&path, &faces, 0).and_then(|home| index.get(&home[..]).copied());
            arrows.extend(to.filter(|&to| to != from).map(|to| (from, to)));
        }
    }
    arrows
}

/// The files that can be reached from one along the arrows.
fn reached(from: usize, arrows: &BTreeSet<(usize, usize)>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for &(_, to) in arrows.range((at, 0)..=(at, usize::MAX)) {
            if found.insert(to) {
                open.push(to);
            }
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() -> Outcome {
    let rooms = rooms()?;
    let arrows = arrows(&rooms);
    assert!(
        rooms.len() > 150 && arrows.len() > 400,
        "{} files, {} arrows",
        rooms.len(),
        arrows.len()
    );
    let circles: BTreeSet<&str> = (0..rooms.len())
        .filter(|&at| reached(at, &arrows).contains(&at))
        .map(|at| rooms[at].path.as_str())
        .collect();
    let ties: Vec<String> = arrows
        .iter()
        .filter(|(from, to)| reached(*to, &arrows).contains(from))
        .filter(|(from, _)| !KNOWN_CIRCLES.contains(&rooms[*from].path.as_str()))
        .map(|(from, to)| format!("{} -> {}", rooms[*from].path, rooms[*to].path))
        .collect();
    assert!(ties.is_empty(), "files in a circle:\n{}", ties.join("\n"));
    for known in KNOWN_CIRCLES {
        assert!(circles.contains(known), "{known} is in no circle any more: take it off the list");
    }
    Ok(())
}

#[test]
fn no_module_imports_one_above_it() -> Outcome {
    let rooms = rooms()?;
    let row =
        |room: &Room| -> Option<usize> {
            let top = room.module.first()?;
            Some(ORDER.iter().position(|row| row.contains(&top.as_str())).unwrap_or_else(|| {
                panic!("the module `{top}` has no place in ORDER: {}", room.path)
            }))
        };
    let mut up = Vec::new();
    let mut known = BTreeSet::new();
    for (from, to) in arrows(&rooms) {
        let (from, to) = (&rooms[from], &rooms[to]);
        let same = from.module.first() == to.module.first();
        if same || row(from).zip(row(to)).is_none_or(|(from, to)| from > to) {
            continue;
        }
        match KNOWN_ARROWS_UP.iter().find(|known| **known == (&from.path, &to.path)) {
            Some(arrow) => known.extend([*arrow]),
            None => up.push(format!("{} -> {}", from.path, to.path)),
        }
    }
    assert!(up.is_empty(), "arrows up:\n{}", up.join("\n"));
    for arrow in KNOWN_ARROWS_UP {
        assert!(known.contains(arrow), "{arrow:?} is gone: take it off the list");
    }
    Ok(())
}

#[test]
fn paths_are_found_in_every_form() {
    let code = plain(
        "use crate::a::{self, b::{C, D as E}, f};\nlet x = super::g::h(\"crate::no\"); // crate::no\n",
    );
    let (found, _) = paths(code.trim_start_matches("use "), &[]);
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["crate::a::self", "crate::a::b::C", "crate::a::b::D", "crate::a::f"]);
    assert!(code.contains("super::g::h(") && !code.contains("no"), "{code}");
}
