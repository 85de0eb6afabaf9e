//! Data set, image size and what is done to an image.

use super::command_line::CommandLine;
use crate::config::tools::draft::Draft;

/// Folder of a data set in the reference's layout.
fn folder(dataset: &str) -> Option<&'static str> {
    Some(match dataset.to_lowercase().as_str() {
        "miniimagenet" => "dataset/miniImagenet",
        // `val` and `novel` of the cross-domain settings; the training data is another.
        "cub" | "cross" => "dataset/CUB",
        "cifar" => "dataset/CIFAR_FS",
        "yoga" => "dataset/Yoga",
        "ham10000" => "dataset/HAM10000",
        "omniglot" => "dataset/Omniglot",
        "cross_char" => "dataset/emnist",
        _ => return None,
    })
}

/// List of the images that a cross-domain setting trains on.
pub(super) fn trained_on(dataset: &str) -> Option<&'static str> {
    match dataset.to_lowercase().as_str() {
        "cross" => Some("dataset/miniImagenet/all.json"),
        "cross_char" => Some("dataset/Omniglot/noLatin.json"),
        _ => None,
    }
}

pub(super) fn data(line: &mut CommandLine, draft: &mut Draft, root: Option<&str>) {
    let (dataset, from) = line.get("dataset");
    let dataset = dataset.unwrap_or_default().to_owned();
    let folder = folder(&dataset).unwrap_or_else(|| {
        line.note(format!(
            "train_test.py has no data set `{dataset}` of its own: the pipeline expects base.json, val.json \
             and novel.json in its folder"
        ));
        "dataset"
    });
    if dataset.eq_ignore_ascii_case("omniglot") {
        line.note(
            "the pipeline reads train_test.py's own lists of Omniglot; without them, `format: omniglot` with \
             `rotations: true` and Vinyals' lists as `splits` gives the same classes",
        );
    }
    let comment = match trained_on(&dataset) {
        None => "the folder with base.json, val.json and novel.json",
        Some(_) => "the folder with val.json and novel.json; train.data is the training set",
    };
    draft.set("data.format", "filelist", "", &from);
    draft.set("data.root", root.unwrap_or(folder), comment, &from);
    let resnet = line.value("backbone").to_lowercase().starts_with("resnet");
    let size = match (dataset.eq_ignore_ascii_case("cifar"), resnet) {
        (true, false) => 64,
        (true, true) => 112,
        (false, false) => 84,
        (false, true) => 224,
    };
    draft.set("data.image_size", size, "pixels", &from);
    draft.set(
        "data.normalize",
        "imagenet",
        "train_test.py always does this",
        "the normalisation of images",
    );
    if line.is_on("train_aug") {
        let from = line.get("train_aug").1;
        let crop = "data.augment.random_resized_crop";
        draft.set(&format!("{crop}.min_scale"), 0.08, "", &from);
        draft.set("data.augment.flip", 0.5, "", &from);
        line.note(
            "--train_aug: train_test.py's colour jitter has no strength and does nothing, so it is left out; \
             train_test.py crops from the image after it was resized, fsct from the original, which is sharper",
        );
    }
}
