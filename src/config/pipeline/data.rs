use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    augment::{Augment, Normalize},
    finding::{Checks, Finding},
    rule::Rule,
};

/// Images and their classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Layout of the data set on disk; guessed from `root` when left out, and said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Folder or file of the data set, relative to the pipeline file.
    ///
    /// `synthetic` needs none: it keeps its glyphs there, or else in the user's cache folder.
    /// As `--set data.root=…` or `FSCT_DATA__ROOT` it is relative to the current directory.
    #[schemars(extend("format" = "path", "minLength" = 1, "examples" = ["../data/omniglot"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Height and width of an image in pixels.
    ///
    /// Activation memory and time grow with its square. A Conv4 needs 16 px or more; papers use 84
    /// for Conv4, 28 for Omniglot, 224 for ResNets.
    #[schemars(range(min = 8, max = 1024))]
    pub image_size: usize,
    /// Which class is in which split, where the layout does not say it: a file of `fsct data split`,
    /// or a folder with `train.txt`, `val.txt` and `test.txt`.
    ///
    /// `folder` needs it unless the root has a folder a split, and so does one CSV list of all images;
    /// `omniglot` takes Vinyals' lists, `cifar_fs` Bertinetto's, and `cub` any.
    #[schemars(extend("format" = "path", "minLength" = 1, "examples" = ["splits.json"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splits: Option<PathBuf>,
    /// Columns of a CSV list, where their names are not the usual ones (`filename` and `label`,
    /// `image_id` and `dx`, …).
    #[serde(skip_serializing_if = "Columns::is_usual")]
    pub columns: Columns,
    /// Each class three times more, turned by 90, 180 and 270 degrees; `omniglot` only.
    pub rotations: bool,
    /// Random changes to training images: `none`, `standard` or a mapping.
    pub augment: Augment,
    /// How 0–255 becomes the network's input: `none` gives 0–1, `imagenet` subtracts its mean and
    /// divides by its deviation, a mapping names others.
    pub normalize: Normalize,
    /// Where decoded images are kept, so that each is decoded once. Augmented ones are not kept:
    /// they differ in every episode.
    pub cache: Cache,
    /// Most MiB that the cache takes; images beyond it are decoded each time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub cache_mib: usize,
    /// What happens with an image that cannot be read.
    pub on_bad_image: OnBadImage,
    /// Leave out classes with fewer images than `k_shot + n_query` instead of refusing them.
    pub skip_small_classes: bool,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            format: None,
            root: None,
            image_size: 84,
            splits: None,
            columns: Columns::default(),
            rotations: false,
            augment: Augment::None,
            normalize: Normalize::None,
            cache: Cache::Memory,
            cache_mib: 2048,
            on_bad_image: OnBadImage::Error,
            skip_small_classes: false,
        }
    }
}

/// Columns of a CSV list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// Column with the name of the image, with or without folder and suffix.
    #[schemars(extend("minLength" = 1, "examples" = ["image_id"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Column with the class.
    #[schemars(extend("minLength" = 1, "examples" = ["dx"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Column with the split: `train`, `val` or `test`. One list of all images needs it unless
    /// `data.splits` is given.
    #[schemars(extend("minLength" = 1, "examples" = ["split"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
}

impl Columns {
    /// Whether none is named.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Layout of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Glyphs of procedural alphabets, drawn once by `fsct` itself.
    Synthetic,
    /// Omniglot's `images_background_*/ALPHABET/characterNN/NNNN_DD.png`, as zips or folders.
    Omniglot,
    /// CloserLookFewShot's `base.json`, `val.json` and `novel.json`.
    Filelist,
    /// `train.csv`, `val.csv` and `test.csv`, or one list of all images with `splits`. The images lie
    /// anywhere below the lists.
    Csv,
    /// `CUB_200_2011` as published: `images.txt`, `image_class_labels.txt` and `classes.txt`.
    Cub,
    /// `SPLIT/CLASS/IMAGE`, or `CLASS/IMAGE` with `splits`.
    Folder,
    /// CIFAR-FS: `data/CLASS/IMAGE` and Bertinetto's `splits/bertinetto/*.txt`.
    CifarFs,
    /// easyfsl's `train.json`, `val.json` and `test.json` of `class_names` and `class_roots`.
    Easyfsl,
    /// Pickled images: `mini-imagenet-cache-*.pkl`, FC100's, tieredImageNet's. Nothing in them is
    /// executed.
    Pickle,
    /// One file that `fsct data pack` wrote.
    Pack,
}

impl Format {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Synthetic,
        Self::Omniglot,
        Self::Filelist,
        Self::Csv,
        Self::Cub,
        Self::Folder,
        Self::CifarFs,
        Self::Easyfsl,
        Self::Pickle,
        Self::Pack,
    ];

    /// The word in a pipeline.
    pub fn word(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::Omniglot => "omniglot",
            Self::Filelist => "filelist",
            Self::Csv => "csv",
            Self::Cub => "cub",
            Self::Folder => "folder",
            Self::CifarFs => "cifar_fs",
            Self::Easyfsl => "easyfsl",
            Self::Pickle => "pickle",
            Self::Pack => "pack",
        }
    }
}

/// Where decoded images are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// In main memory, up to `cache_mib`.
    #[default]
    Memory,
    /// In an unnamed file in the folder for temporary files: fast storage, little memory.
    Disk,
    /// No cache: every image is decoded each time it is used.
    None,
}

/// What happens with an image that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBadImage {
    /// The run ends with an error that names it.
    #[default]
    Error,
    /// Every image is read once before the run; bad ones are left out, counted and listed.
    Skip,
}

/// Another data set for one of the three splits: cross-domain training and testing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtherData {
    /// Layout of that data set; guessed from `root` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Folder or file of that data set, relative to the pipeline file.
    #[schemars(extend("format" = "path", "minLength" = 1, "examples" = ["../data/CUB"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Which of its classes.
    pub classes: Classes,
}

/// Which classes of another data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classes {
    /// Those of the split of the same name.
    #[default]
    Same,
    /// Those of its training split.
    Base,
    /// Those of its validation split.
    Val,
    /// Those of its test split.
    Novel,
    /// The classes of all its splits.
    All,
}

/// Every layout but the synthetic one reads files.
pub(super) fn check<'a>(
    data_sets: impl Iterator<Item = (&'a str, Option<Format>, bool)>,
    checks: &mut Checks,
) {
    for (key, format, has_root) in data_sets {
        if format == Some(Format::Synthetic) || has_root {
            continue;
        }
        let (message, at, help) = match format {
            Some(format) => (
                format!("`{key}.format: {}` needs `{key}.root`", format.word()),
                format!("{key}.format"),
                format!("add `root:` with the folder, or give it as `--set {key}.root=…`"),
            ),
            None => (
                format!("`{key}` names no data set"),
                format!("{key}.root"),
                "add `root:` with the folder, or write `format: synthetic`".to_owned(),
            ),
        };
        checks.push(
            Finding::new(Rule::RootMissing, format!("{key}.root"), message, help)
                .at(at)
                .label("this format reads files"),
        );
    }
}
