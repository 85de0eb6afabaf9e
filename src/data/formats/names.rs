//! What names of files and folders mean.

use crate::data::Split;

/// The split that a file or folder is named for.
pub fn split_named(name: &str) -> Option<Split> {
    Some(match name.to_ascii_lowercase().as_str() {
        "base" | "train" | "training" | "meta_train" | "meta-train" => Split::Base,
        "val" | "valid" | "validation" | "meta_val" | "meta-val" => Split::Val,
        "novel" | "test" | "testing" | "meta_test" | "meta-test" => Split::Novel,
        _ => return None,
    })
}
