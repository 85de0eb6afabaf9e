use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::cache::Cache;

use super::formats::{self, Item, Listing, Options};
use super::image_set::{Image, Images, SetOptions};
use super::known;
use super::pack::{Pack, PackedClass};
use super::source::ItemFile;
use super::transform::Normalization;
use super::{Class, DataError, ImageSet, ImageShape, Split};
use crate::config::{self, Classes, Format, OnBadImage, OtherData, Pipeline};

/// Sets that take no more than this, decoded, are decoded when they are opened: damage is then said
/// before a run starts.
const EAGER_BYTES: usize = 64 << 20;
/// Bad images that are named one by one.
const NAMED: usize = 20;

/// The images of a pipeline.
#[derive(Debug, Clone)]
pub struct Dataset {
    base: ImageSet,
    val: ImageSet,
    novel: ImageSet,
    notes: Vec<String>,
}

impl Dataset {
    /// The images of one split.
    pub fn split(&self, split: Split) -> &ImageSet {
        match split {
            Split::Base => &self.base,
            Split::Val => &self.val,
            Split::Novel => &self.novel,
        }
    }

    /// What the user should know: a guessed layout, images that were left out, classes that two
    /// splits share.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Opens the data of a pipeline; `base` is the folder that a relative root is relative to.
///
/// # Errors
/// When a root is missing or holds no such data set, or when an image is found to be damaged.
pub fn open(pipeline: &Pipeline, base: &Path) -> Result<Dataset, DataError> {
    let data = &pipeline.data;
    let size = data.image_size;
    let shape =
        ImageShape { channels: pipeline.backbone.kind.channels(), height: size, width: size };
    let mut notes = Vec::new();
    let others = [
        (Split::Base, &pipeline.train.data, "train.data"),
        (Split::Val, &pipeline.validate.data, "validate.data"),
        (Split::Novel, &pipeline.test.data, "test.data"),
    ];
    let alone = others.iter().all(|(_, other, _)| other.is_none());
    if alone && data.on_bad_image == OnBadImage::Error {
        let root = data.root.as_ref().map(|root| base.join(root));
        if format_of(data.format, root.as_deref())? == Format::Pack
            && let Some(root) = &root
            && root.is_file()
        {
            if data.format.is_none() {
                notes.push(guessed("data", Format::Pack, root));
            }
            return open_pack(&Arc::new(Pack::open(root)?), data, shape, notes);
        }
    }
    // With another source for each split the common one is not read.
    let own = match others.iter().all(|(_, other, _)| other.is_some()) {
        true => None,
        false => Some(listing(data.format, data.root.as_deref(), data, base, "data", &mut notes)?),
    };
    let mut by_split: BTreeMap<Split, Part> = BTreeMap::new();
    if let Some(own) = own {
        let ink_is_dark = own.ink_is_dark;
        for item in own.items {
            by_split.entry(item.split).or_default().items.push(item);
        }
        for (split, class) in own.empty {
            by_split.entry(split).or_default().empty.push(class);
        }
        by_split.values_mut().for_each(|part| part.ink_is_dark = ink_is_dark);
    }
    for (split, other, key) in others {
        if let Some(other) = other {
            let listing =
                listing(other.format, other.root.as_deref(), data, base, key, &mut notes)?;
            by_split.insert(split, Part::of(listing, other, split));
        }
    }
    note_shared_classes(&by_split, &mut notes);
    let mut set = |split| {
        let part = by_split.remove(&split).unwrap_or_default();
        part.image_set(data, split, shape, &mut notes)
    };
    let (base, val, novel) = (set(Split::Base)?, set(Split::Val)?, set(Split::Novel)?);
    Ok(Dataset { base, val, novel, notes })
}

/// A pack alone: nothing is copied out of it.
fn open_pack(
    pack: &Arc<Pack>,
    data: &config::Data,
    shape: ImageShape,
    mut notes: Vec<String>,
) -> Result<Dataset, DataError> {
    fits(pack.shape(), shape)?;
    let contents = pack.contents()?;
    let of_split = |split| contents.classes.iter().filter(move |class| class.split == split);
    note_shared(
        &Split::ALL.map(|split| (split, of_split(split).map(|class| &*class.name).collect())),
        &mut notes,
    );
    let set = |split| {
        let mut images = Vec::new();
        let mut classes = Vec::new();
        for PackedClass { name, images: packed, .. } in of_split(split) {
            let first = images.len();
            images.extend(packed.clone().map(|image| (image, contents.names[image])));
            classes.push(Class { name: name.clone(), images: (first..images.len()).collect() });
        }
        classes.sort_by(|a, b| a.name.cmp(&b.name));
        let images = Images::Packed { pack: pack.clone(), images };
        let options = set_options(data, split, pack.ink_is_dark());
        ImageSet::new(classes, images, shape, options, Cache::None)
    };
    Ok(Dataset { base: set(Split::Base), val: set(Split::Val), novel: set(Split::Novel), notes })
}

fn set_options(data: &config::Data, split: Split, ink_is_dark: bool) -> SetOptions {
    SetOptions {
        ink_is_dark,
        normalization: Normalization::of(&data.normalize),
        augmentation: data.augment.steps().filter(|_| split == Split::Base),
        skip_small_classes: data.skip_small_classes,
    }
}

fn guessed(key: &str, format: Format, root: &Path) -> String {
    format!("`{key}.format` is taken to be `{}`, from what is in {}", format.word(), root.display())
}

/// The layout of a data set whose root is given: as written, or guessed.
///
/// # Errors
/// When nothing is there, or nothing that is known.
pub fn format_of(format: Option<Format>, root: Option<&Path>) -> Result<Format, DataError> {
    match (format, root) {
        (Some(format), _) => Ok(format),
        (None, None) => Err(DataError::pipeline(
            "data.root",
            "`data` names no data set",
            "add `root:` with the folder, or write `format: synthetic`",
        )),
        (None, Some(root)) => formats::guess(root).ok_or_else(|| {
            let problem = if root.exists() { "holds no data set that fsct knows" } else { "does not exist" };
            DataError::pipeline(
                "data.root",
                format!("`data.root: {}` {problem}", root.display()),
                "correct the path, or write `data.format`; `fsct explain data.format` lists the layouts",
            )
        }),
    }
}

fn listing(
    format: Option<Format>,
    root: Option<&Path>,
    data: &config::Data,
    base: &Path,
    key: &'static str,
    notes: &mut Vec<String>,
) -> Result<Listing, DataError> {
    let root = root.map(|root| base.join(root));
    let splits = data.splits.as_ref().map(|path| base.join(path));
    let under = |error: DataError| match error {
        // The same fault, under the key that the root was written at.
        DataError::Pipeline { key: "data.root", message, help } if key != "data" => {
            let root = match key {
                "train.data" => "train.data.root",
                "validate.data" => "validate.data.root",
                _ => "test.data.root",
            };
            DataError::Pipeline { key: root, message: message.replace("data.root", root), help }
        }
        error => error,
    };
    let layout = format_of(format, root.as_deref()).map_err(under)?;
    if let (None, Some(root)) = (format, &root) {
        notes.push(guessed(key, layout, root));
    }
    let options =
        Options { splits: splits.as_deref().filter(|_| key == "data"), rotations: data.rotations };
    let mut listing = formats::list(layout, root.as_deref(), options).map_err(under)?;
    notes.append(&mut listing.notes);
    notes.extend(root.as_deref().and_then(|root| known::note(layout, root, &listing)));
    Ok(listing)
}

/// The images of one split.
#[derive(Default)]
struct Part {
    items: Vec<Item>,
    empty: Vec<String>,
    ink_is_dark: bool,
}

impl Part {
    fn of(listing: Listing, other: &OtherData, split: Split) -> Self {
        let wanted = match other.classes {
            Classes::Same => Some(split),
            Classes::Base => Some(Split::Base),
            Classes::Val => Some(Split::Val),
            Classes::Novel => Some(Split::Novel),
            Classes::All => None,
        };
        let is_wanted = |it: Split| wanted.is_none_or(|wanted| it == wanted);
        let mut items: Vec<Item> =
            listing.items.into_iter().filter(|item| is_wanted(item.split)).collect();
        if wanted.is_none() {
            // One file may stand for all splits.
            let mut seen = HashSet::new();
            items.retain(|item| seen.insert((item.class.clone(), item.name.clone())));
        }
        let empty = listing.empty.into_iter().filter(|(it, _)| is_wanted(*it));
        Self {
            items,
            empty: empty.map(|(_, class)| class).collect(),
            ink_is_dark: listing.ink_is_dark,
        }
    }

    fn image_set(
        self,
        data: &config::Data,
        split: Split,
        shape: ImageShape,
        notes: &mut Vec<String>,
    ) -> Result<ImageSet, DataError> {
        let skip = data.on_bad_image == OnBadImage::Skip;
        let Self { mut items, empty, ink_is_dark } = self;
        check_pack(&items, shape)?;
        mark_repeated(&mut items);
        if let (false, Some(class)) = (skip, empty.first()) {
            return Err(DataError::Image {
                name: class.clone(),
                reason: format!("this class of {split} has no image"),
            });
        }
        if !empty.is_empty() {
            notes.push(format!(
                "{} classes of {split} have no image and are left out: {}",
                empty.len(),
                some(&empty)
            ));
        }
        let options = set_options(data, split, ink_is_dark);
        let build = |items: Vec<Item>| -> Result<ImageSet, DataError> {
            let keeps = options.augmentation.is_none() && !items.iter().all(in_place);
            let bytes = data.cache_mib << 20;
            let cache = match data.cache {
                config::Cache::Memory if keeps => Cache::memory(items.len(), shape.values(), bytes),
                config::Cache::Disk if keeps => Cache::disk(items.len(), shape.values(), bytes)?,
                _ => Cache::None,
            };
            let (classes, images) = by_class(items);
            Ok(ImageSet::new(classes, images, shape, options.clone(), cache))
        };
        let unusable = items.iter().any(|item| matches!(item.file, ItemFile::Unusable(_)));
        let small = items.len() * shape.values() <= EAGER_BYTES && !items.iter().all(in_place);
        if !skip {
            let set = build(items)?;
            if small || unusable {
                // In the order of names, so that the same image is named each time.
                let errors: Vec<_> = check(&set).into_iter().flatten().take(1).collect();
                errors.into_iter().next().map_or(Ok(()), Err)?;
            }
            return Ok(set);
        }
        let names: Vec<String> = items.iter().map(|item| item.name.clone()).collect();
        let set = build(items.clone())?;
        let bad: Vec<Option<DataError>> = check(&set);
        let reasons: Vec<String> = bad.iter().flatten().map(ToString::to_string).collect();
        if reasons.is_empty() {
            return Ok(set);
        }
        notes.push(format!(
            "{} of the {} images of {split} cannot be read and are left out: {}",
            reasons.len(),
            names.len(),
            some(&reasons)
        ));
        let mut bad = bad.iter();
        items.retain(|_| bad.next().is_some_and(Option::is_none));
        build(items)
    }
}

/// What is wrong with each image.
fn check(set: &ImageSet) -> Vec<Option<DataError>> {
    (0..set.len()).into_par_iter().map(|image| set.pixels(image).err()).collect()
}

/// Whether an image is read where it lies, without decoding.
fn in_place(item: &Item) -> bool {
    matches!(item.file, ItemFile::Packed(..))
}

/// A pack holds one size; another would be neither the image nor what a larger file would give.
fn check_pack(items: &[Item], shape: ImageShape) -> Result<(), DataError> {
    let packs = items.iter().filter_map(|item| match &item.file {
        ItemFile::Packed(pack, _) => Some(pack.shape()),
        _ => None,
    });
    let Some(packed) = packs.into_iter().next() else { return Ok(()) };
    fits(packed, shape)
}

fn fits(packed: ImageShape, shape: ImageShape) -> Result<(), DataError> {
    if (packed.height, packed.width) == (shape.height, shape.width) {
        return Ok(());
    }
    Err(DataError::pipeline(
        "data.image_size",
        format!(
            "`data.image_size: {}` differs from the pack's images, which have {} px",
            shape.width, packed.width
        ),
        format!(
            "write `image_size: {}`, or pack again with `--size {}`",
            packed.width, shape.width
        ),
    ))
}

/// An image that is listed twice could be support and query of one episode.
pub fn mark_repeated(items: &mut [Item]) {
    let mut seen: HashSet<&str> = HashSet::with_capacity(items.len());
    let again: Vec<usize> = (0..items.len()).filter(|at| !seen.insert(&items[*at].name)).collect();
    for at in again {
        items[at].file = ItemFile::Unusable("it is listed twice in this split".into());
    }
}

fn by_class(items: Vec<Item>) -> (Vec<Class>, Images) {
    let mut classes: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
    let mut images = Vec::with_capacity(items.len());
    for (at, Item { class, name, file, turns, .. }) in items.into_iter().enumerate() {
        classes.entry(class).or_default().push(at);
        images.push(Image { name, file, turns });
    }
    let class = |(name, images): (Arc<str>, Vec<usize>)| Class { name: name.to_string(), images };
    (classes.into_iter().map(class).collect(), Images::Listed(images))
}

/// Few-shot classes are new ones; a class that was trained on is not.
fn note_shared_classes(by_split: &BTreeMap<Split, Part>, notes: &mut Vec<String>) {
    let classes: Vec<(Split, HashSet<&str>)> = by_split
        .iter()
        .map(|(split, part)| (*split, part.items.iter().map(|item| &*item.class).collect()))
        .collect();
    note_shared(&classes, notes);
}

fn note_shared(classes: &[(Split, HashSet<&str>)], notes: &mut Vec<String>) {
    for (at, (split, names)) in classes.iter().enumerate() {
        for (other, others) in &classes[at + 1..] {
            let mut shared: Vec<String> =
                names.intersection(others).map(|name| (*name).to_owned()).collect();
            shared.sort();
            if !shared.is_empty() {
                notes.push(format!(
                    "{} classes are in both {split} and {other}: {}",
                    shared.len(),
                    some(&shared)
                ));
            }
        }
    }
}

/// The first names of a list.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let list = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        format!("{list}; and {more} more (`fsct data inspect` lists them)")
    } else {
        list
    }
}
