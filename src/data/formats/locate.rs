//! Finds the files that a list names: lists hold bare names, names without suffix, and paths of the
//! machine that wrote them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::split_files::list_base;
use crate::data::Split;
use crate::data::codec::SUFFIXES;

/// Folders above a list's that the end of a name is looked for in.
const ABOVE: usize = 3;
/// Images that are looked for under every scheme while none is found.
const MAX_FAILURES: usize = 100;

/// An image as a list has it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The image's name, as the list has it.
    pub name: &'a str,
    /// The name of its class.
    pub class: &'a str,
    /// Its split; `None` where the list does not say.
    pub split: Option<Split>,
}

/// Where a file is, and its name in the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path of the file.
    pub path: PathBuf,
    /// Its path below the data set's folder, `/` between its parts.
    pub short: String,
}

/// How names of a list become paths. What finds one image is tried first for the next.
#[derive(Debug, Clone)]
struct Scheme {
    base: PathBuf,
    /// Folders between the base and the name.
    prefix: Prefix,
    /// Leading parts of the name that are left out.
    skip: usize,
    /// What is added to the name.
    suffix: &'static str,
}

/// Folders between a base and a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    None,
    Images,
    Class,
    ImagesClass,
    Split,
    SplitClass,
}

impl Prefix {
    const ALL: [Self; 6] =
        [Self::Images, Self::Class, Self::ImagesClass, Self::SplitClass, Self::Split, Self::None];

    fn folder(self, entry: Entry) -> Option<String> {
        let split = entry.split.map(|split| match split {
            Split::Base => "train",
            Split::Val => "val",
            Split::Novel => "test",
        });
        let class = entry.class;
        Some(match self {
            Self::None => String::new(),
            Self::Images => "images/".into(),
            Self::Class => format!("{class}/"),
            Self::ImagesClass => format!("images/{class}/"),
            Self::Split => format!("{}/", split?),
            Self::SplitClass => format!("{}/{class}/", split?),
        })
    }
}

impl Scheme {
    fn find(&self, entry: Entry) -> Option<Found> {
        let skipped: Vec<&str> = parts(entry.name).skip(self.skip).collect();
        if skipped.is_empty() {
            return None;
        }
        let name = skipped.join("/");
        let short = format!("{}{name}{}", self.prefix.folder(entry)?, self.suffix);
        // An absolute name is used unchanged.
        let is_absolute = self.skip == 0 && Path::new(entry.name).is_absolute();
        let path = if is_absolute { PathBuf::from(entry.name) } else { self.base.join(&short) };
        path.exists().then(|| {
            let short = match path.strip_prefix(&self.base) {
                Ok(inside) => inside.to_string_lossy().replace('\\', "/"),
                Err(_) if is_absolute => entry.name.to_owned(),
                Err(_) => short,
            };
            Found { path, short }
        })
    }
}

/// Finds the images of one list.
pub struct Locator {
    base: PathBuf,
    scheme: Option<Scheme>,
    /// Images that no scheme has found.
    failures: usize,
    /// Files below the base by name without suffix, in small letters; made when it is first needed.
    index: Option<HashMap<String, Vec<String>>>,
}

impl Locator {
    /// A locator of the files that a list names.
    pub fn new(list: &Path) -> Self {
        Self { base: list_base(list), scheme: None, failures: 0, index: None }
    }

    /// Finds an image, or says where it was looked for.
    pub fn find(&mut self, entry: Entry) -> Result<Found, String> {
        if let Some(found) = self.scheme.as_ref().and_then(|scheme| scheme.find(entry)) {
            return Ok(found);
        }
        // A list has one scheme, as a rule: all are tried until one finds an image.
        if self.scheme.is_none()
            && self.failures < MAX_FAILURES
            && let Some((scheme, found)) = schemes(&self.base, entry).find_map(|scheme| {
                let found = scheme.find(entry)?;
                Some((scheme, found))
            })
        {
            self.scheme = Some(scheme);
            return Ok(found);
        }
        self.failures += 1;
        self.search(entry)
    }

    /// Looks for the file's name anywhere below the base.
    fn search(&mut self, entry: Entry) -> Result<Found, String> {
        let base = self.base.clone();
        let index = self.index.get_or_insert_with(|| index(&base));
        let wanted: Vec<&str> = parts(entry.name).collect();
        let last = wanted.last().copied().unwrap_or_default();
        let candidates =
            index.get(&stem(last).to_lowercase()).map(Vec::as_slice).unwrap_or_default();
        // The same suffix, if the list has one.
        let mut fitting: Vec<&String> = candidates
            .iter()
            .filter(|path| stem(last) == last || path.rsplit('/').next() == Some(last))
            .collect();
        if fitting.len() > 1 {
            let in_class = |path: &&&String| path.rsplit('/').nth(1) == Some(entry.class);
            let narrowed: Vec<&String> = fitting.iter().filter(in_class).copied().collect();
            if !narrowed.is_empty() {
                fitting = narrowed;
            }
        }
        match fitting[..] {
            [one] => Ok(Found { path: base.join(one), short: one.clone() }),
            [] => Err(format!(
                "it does not exist in {0}, in `images/`, `{1}/`, `images/{1}/`, or in any folder below",
                base.display(),
                entry.class
            )),
            [first, second, ..] => Err(format!(
                "{} files below {} have this name, among them {first} and {second}",
                fitting.len(),
                base.display()
            )),
        }
    }
}

/// All schemes: whole names before shortened ones, images of the data set before those above it.
fn schemes(base: &Path, entry: Entry) -> impl Iterator<Item = Scheme> {
    let count = parts(entry.name).count();
    let bases: Vec<PathBuf> = base.ancestors().take(ABOVE + 1).map(Path::to_owned).collect();
    let has_suffix = entry.name.rsplit(['/', '\\']).next().is_some_and(|name| name.contains('.'));
    let suffixes = if has_suffix { &[""][..] } else { &["", ".jpg", ".png", ".jpeg", ".JPG"] };
    (0..count).flat_map(move |skip| {
        let bases = bases.clone();
        bases.into_iter().enumerate().flat_map(move |(above, base)| {
            Prefix::ALL
                .into_iter()
                // Above the data set only a folder that the name itself has will do.
                .filter(move |prefix| above == 0 || *prefix == Prefix::None)
                .flat_map(move |prefix| {
                    let base = base.clone();
                    suffixes.iter().map(move |suffix| Scheme {
                        base: base.clone(),
                        prefix,
                        skip,
                        suffix,
                    })
                })
        })
    })
}

fn index(base: &Path) -> HashMap<String, Vec<String>> {
    let mut index: HashMap<String, Vec<String>> = HashMap::new();
    let walk = WalkDir::new(base).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        let Some(inside) = entry.path().strip_prefix(base).ok().and_then(Path::to_str) else {
            continue;
        };
        let inside = inside.replace('\\', "/");
        let name = inside.rsplit('/').next().unwrap_or(&inside);
        if !name.starts_with('.') {
            index.entry(stem(name).to_lowercase()).or_default().push(inside);
        }
    }
    index
}

/// A name without an image's suffix.
fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, suffix)) if SUFFIXES.contains(&suffix.to_lowercase().as_str()) => stem,
        _ => name,
    }
}

/// Parts of a path of any system. A drive letter is left out.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let is_drive = |part: &str| part.len() == 2 && part.ends_with(':');
    name.split(['/', '\\']).filter(move |part| !part.is_empty() && *part != "." && !is_drive(part))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_of_all_kinds_are_found() -> std::io::Result<()> {
        for (file, name) in [
            ("images/a.jpg", "a.jpg"),
            ("images/a.jpg", "a"),
            ("images/ant/a.jpg", "a.jpg"),
            ("ant/a.jpg", "a.jpg"),
            ("train/ant/a.jpg", "a.jpg"),
            ("train/a.jpg", "a.jpg"),
            ("images/ant/a.jpg", r"C:\Users\ann\set\images\ant\a.jpg"),
            ("images/a.jpg", "/home/ann/set/images/a.jpg"),
            ("part_2/a.jpg", "a"),
            ("deep/er/a.JPG", "a"),
        ] {
            let root = tempfile::tempdir()?;
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap_or(root.path()))?;
            fs::write(&path, "")?;
            let mut locator = Locator::new(&root.path().join("train.csv"));
            let entry = Entry { name, class: "ant", split: Some(Split::Base) };
            let found = locator.find(entry).map_err(std::io::Error::other)?;
            assert_eq!((found.short.as_str(), found.path), (file, path), "{name}");
            let said = locator.find(Entry { name: "b.jpg", ..entry }).expect_err("it is absent");
            assert!(said.contains("images/ant/"), "{said}");
        }
        Ok(())
    }

    #[test]
    fn one_name_in_two_folders_is_told_apart_by_the_class() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        for class in ["ant", "bee"] {
            fs::create_dir_all(root.path().join("x").join(class))?;
            fs::write(root.path().join("x").join(class).join("1.png"), "")?;
        }
        let mut locator = Locator::new(&root.path().join("all.csv"));
        let entry = Entry { name: "1.png", class: "bee", split: None };
        assert_eq!(locator.find(entry).map(|it| it.short), Ok("x/bee/1.png".into()));
        let said = locator.find(Entry { class: "cat", ..entry }).expect_err("either would do");
        assert!(said.contains("2 files"), "{said}");
        Ok(())
    }
}
