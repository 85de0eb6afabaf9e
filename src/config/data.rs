use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Images and their classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Layout of the data set on disk.
    pub format: Format,
    /// Folder of the data set, relative to the pipeline file.
    ///
    /// `synthetic` needs none: it keeps its glyphs there, or else in the user's cache folder.
    /// As `--set data.root=…` or `FSCT_DATA__ROOT` it is relative to the current directory.
    #[schemars(extend("format" = "path", "minLength" = 1, "examples" = ["../data/omniglot"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Height and width of an image in pixels.
    ///
    /// Activation memory and time grow with its square. A Conv4 needs 16 px or more; papers use 84
    /// for Conv4, 28 for Omniglot, 224 for ResNets.
    #[schemars(range(min = 8, max = 1024))]
    #[serde(default = "default_image_size")]
    pub image_size: usize,
}

fn default_image_size() -> usize {
    84
}

/// Layout of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Glyphs of procedural alphabets, drawn once by `fsct` itself.
    Synthetic,
    /// Omniglot's `images_background_*/ALPHABET/characterNN/NNNN_DD.png`, as zips or folders.
    Omniglot,
}
