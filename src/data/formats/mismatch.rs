//! The error for a root that has another layout.

use std::path::Path;

use crate::config::Format;
use crate::data::DataError;

/// The root does not have this layout.
pub fn mismatch(format: Format, root: &Path, why: impl std::fmt::Display) -> DataError {
    let layout = match format {
        Format::Omniglot => "images_background*.zip, or images_background*/ALPHABET/characterNN/",
        Format::Filelist => "base.json, val.json and novel.json",
        Format::Csv => "train.csv, val.csv and test.csv, or one list of all images",
        Format::Cub => "images.txt, image_class_labels.txt, classes.txt and images/",
        Format::Folder => "SPLIT/CLASS/IMAGE, or CLASS/IMAGE and `data.splits`",
        Format::CifarFs => "data/CLASS/IMAGE and splits/bertinetto/{train,val,test}.txt",
        Format::Easyfsl => "train.json, val.json and test.json of class_names and class_roots",
        Format::Pickle => "a pickle a split, such as *-cache-{train,val,test}.pkl",
        Format::Pack | Format::Synthetic => "a file of `fsct data pack`",
    };
    DataError::pipeline(
        "data.root",
        format!("`data.root: {}` is not a `{}` data set: {why}", root.display(), format.word()),
        format!(
            "expected: {layout}; `fsct explain data.format` lists the layouts, and \
             `fsct data inspect` shows what is there"
        ),
    )
}
