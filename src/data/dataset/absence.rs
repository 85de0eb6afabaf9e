//! Why a split has no class.

use std::path::Path;

use crate::config::Format;
use crate::data::Split;

/// What would have held the classes of a split, and is not there.
pub fn absence(format: Format, root: Option<&Path>, splits: Option<&Path>, split: Split) -> String {
    let [short, paper] = match split {
        Split::Base => ["train", "base"],
        Split::Val => ["val", "validation"],
        Split::Novel => ["test", "novel"],
    };
    let root = root.map_or_else(String::new, |root| format!(" in {}", root.display()));
    match (format, splits) {
        (_, Some(splits)) => format!("{} lists no class for `{short}`", splits.display()),
        (Format::Folder, None) => format!("there is no folder `{short}` or `{paper}`{root}"),
        (Format::Csv, None) => format!("there is no `{short}.csv` or `{paper}.csv`{root}"),
        (Format::Filelist | Format::Easyfsl, None) => {
            format!("there is no `{short}.json` or `{paper}.json`{root}")
        }
        (Format::Pickle, None) => format!("there is no pickle with `{short}` in its name{root}"),
        _ => format!("the data set has no such class{root}"),
    }
}
