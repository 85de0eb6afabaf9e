use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::{BufWriter, IntoInnerError, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::text::decode;
use super::{DataError, ImageSet};
use crate::atomic_file::AtomicFile;
use crate::config::Episode;

/// Which images an episode is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeIndices {
    /// Numbers of the classes, in the episode's order.
    pub classes: Vec<usize>,
    /// Numbers of the support images, by class: `n_way · k_shot`.
    pub support: Vec<usize>,
    /// Numbers of the query images, by class: `n_way · n_query`.
    pub query: Vec<usize>,
    /// Number of query images of each class; they may differ in tests.
    pub query_counts: Vec<usize>,
}

impl EpisodeIndices {
    /// The class of each query, as its place in the episode.
    pub fn truths(&self) -> impl Iterator<Item = usize> {
        let counts = self.query_counts.iter().enumerate();
        counts.flat_map(|(class, count)| std::iter::repeat_n(class, *count))
    }

    /// Ways, shots and queries; of the queries, the mean of the classes.
    pub fn shape(&self) -> Episode {
        let n_way = self.classes.len().max(1);
        Episode { n_way, k_shot: self.support.len() / n_way, n_query: self.query.len() / n_way }
    }
}

/// A line of an episode file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedEpisode {
    classes: Vec<String>,
    support: Vec<Vec<String>>,
    query: Vec<Vec<String>>,
}

/// Reads a file of episodes: a line each, JSON, with the class names and for each class its support
/// and query images. Empty lines are skipped.
///
/// An image is named as the data set lists it, or by its path from the root of the data set or any
/// folder above or below, such as `test/CLASS/img.png`.
///
/// # Errors
/// When a line is not such an episode, names an unknown class or image, lists an image twice or
/// under another class than its own, or has other ways and shots than `shape`.
pub fn read_episodes(
    path: &Path,
    set: &ImageSet,
    shape: Episode,
) -> Result<Vec<EpisodeIndices>, DataError> {
    let bytes = std::fs::read(path).map_err(DataError::file("open", path))?;
    let text = decode(&bytes).map_err(|reason| {
        let path = path.to_owned();
        DataError::Episodes { path, line: 1, reason }
    })?;
    let known = Known {
        set,
        images: set.by_name(),
        by_file_name: OnceCell::new(),
        classes: set.classes().iter().enumerate().map(|(at, it)| (it.name.as_str(), at)).collect(),
        class_of: set
            .classes()
            .iter()
            .enumerate()
            .flat_map(|(class, it)| it.images.iter().map(move |image| (*image, class)))
            .collect(),
    };
    let mut episodes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong =
            |reason: String| DataError::Episodes { path: path.to_owned(), line: index + 1, reason };
        if line.trim().is_empty() {
            continue;
        }
        let line: ListedEpisode =
            serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        episodes.push(known.episode(line, shape).map_err(wrong)?);
    }
    if episodes.is_empty() {
        let reason = "the file holds no episode".to_owned();
        return Err(DataError::Episodes { path: path.to_owned(), line: 1, reason });
    }
    Ok(episodes)
}

/// Writes episodes as `read_episodes` reads them, so that another model is asked the same.
///
/// # Errors
/// When the file cannot be written. A file that was there before is kept then.
pub fn write_episodes(
    path: &Path,
    set: &ImageSet,
    episodes: &[EpisodeIndices],
) -> Result<(), DataError> {
    let file = AtomicFile::create(path).map_err(DataError::file("create", path))?;
    let mut file = BufWriter::new(file);
    for episode in episodes {
        let shape = episode.shape();
        let names = |images: &[usize], counts: &[usize]| {
            let name = |image: &usize| set.image_name(*image).to_owned();
            let mut rest = images;
            let of_class = |count: &usize| {
                let (own, others) = rest.split_at(*count);
                rest = others;
                own.iter().map(name).collect()
            };
            counts.iter().map(of_class).collect()
        };
        let line = ListedEpisode {
            classes: episode.classes.iter().map(|it| set.classes()[*it].name.clone()).collect(),
            support: names(&episode.support, &vec![shape.k_shot; shape.n_way]),
            query: names(&episode.query, &episode.query_counts),
        };
        serde_json::to_writer(&mut file, &line)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(file))
            .map_err(DataError::file("write", path))?;
    }
    file.into_inner()
        .map_err(IntoInnerError::into_error)
        .and_then(AtomicFile::commit)
        .map_err(DataError::file("write", path))
}

struct Known<'a> {
    set: &'a ImageSet,
    images: HashMap<&'a str, usize>,
    /// Numbers of the images by the last part of their names; made when a path is looked up.
    by_file_name: OnceCell<HashMap<&'a str, Vec<usize>>>,
    classes: HashMap<&'a str, usize>,
    class_of: HashMap<usize, usize>,
}

impl<'a> Known<'a> {
    fn episode(&self, line: ListedEpisode, shape: Episode) -> Result<EpisodeIndices, String> {
        let n_way = line.classes.len();
        if n_way != shape.n_way {
            return Err(format!("{n_way} classes, but the model is tested with {}", shape.n_way));
        }
        let classes = line
            .classes
            .iter()
            .map(|name| self.classes.get(name.as_str()).copied().ok_or(name))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|name| format!("the split has no class `{name}`"))?;
        if let Some(again) = repeated(&classes) {
            return Err(format!("the class `{}` is named twice", line.classes[again]));
        }
        let each = line.support.first().map_or(0, Vec::len);
        if line.support.len() != n_way
            || each == 0
            || line.support.iter().any(|it| it.len() != each)
        {
            return Err("`support` is not a list for each class, all of one length".to_owned());
        }
        let query_counts: Vec<usize> = line.query.iter().map(Vec::len).collect();
        let queries: usize = query_counts.iter().sum();
        if line.query.len() != n_way || queries == 0 || !queries.is_multiple_of(n_way) {
            return Err(format!(
                "`query` is not a list for each class, with a multiple of {n_way} images in all"
            ));
        }
        let support = self.images(&classes, &line.support)?;
        let query = self.images(&classes, &line.query)?;
        let k_shot = support.len() / n_way;
        if k_shot != shape.k_shot {
            return Err(format!("{k_shot} shots, but the model is tested with {}", shape.k_shot));
        }
        let all: Vec<usize> = support.iter().chain(&query).copied().collect();
        if let Some(again) = repeated(&all) {
            let names = line.support.iter().chain(&line.query).flatten();
            let name = names.clone().nth(again).map_or("", String::as_str);
            return Err(format!("the image `{name}` is listed twice"));
        }
        Ok(EpisodeIndices { classes, support, query, query_counts })
    }

    fn images(&self, classes: &[usize], lists: &[Vec<String>]) -> Result<Vec<usize>, String> {
        let mut images = Vec::new();
        for (class, names) in classes.iter().zip(lists) {
            for name in names {
                let image = self.image(*class, name)?;
                if self.class_of.get(&image) != Some(class) {
                    return Err(format!(
                        "the image `{name}` is not of the class it is listed under"
                    ));
                }
                images.push(image);
            }
        }
        Ok(images)
    }

    /// The image of a name, or of a path of which the name is the end or which is the end of the
    /// image's own path. Where several classes have such a path, the class decides.
    fn image(&self, class: usize, name: &str) -> Result<usize, String> {
        if let Some(image) = self.images.get(name) {
            return Ok(*image);
        }
        let path = name.replace('\\', "/");
        let path = Path::new(path.trim_start_matches("./"));
        let file_name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        let candidates = self.by_file_name().get(file_name).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<usize> = candidates
            .iter()
            .copied()
            .filter(|image| {
                path.ends_with(self.set.image_name(*image))
                    || self.set.image_path(*image).is_some_and(|file| file.ends_with(path))
            })
            .collect();
        if found.len() > 1 {
            found.retain(|image| self.class_of.get(image) == Some(&class));
        }
        match found.as_slice() {
            [image] => Ok(*image),
            [] => Err(format!("the split has no image `{name}`")),
            [first, second, ..] => Err(format!(
                "`{name}` may be `{}` or `{}`; name more of its path",
                self.set.image_name(*first),
                self.set.image_name(*second)
            )),
        }
    }

    fn by_file_name(&self) -> &HashMap<&'a str, Vec<usize>> {
        self.by_file_name.get_or_init(|| {
            let mut names: HashMap<&str, Vec<usize>> = HashMap::new();
            for image in 0..self.set.len() {
                let name = self.set.image_name(image);
                names.entry(name.rsplit('/').next().unwrap_or(name)).or_default().push(image);
            }
            names
        })
    }
}

/// Where a value stands for the second time.
fn repeated(values: &[usize]) -> Option<usize> {
    let mut seen = std::collections::HashSet::new();
    values.iter().position(|value| !seen.insert(value))
}
