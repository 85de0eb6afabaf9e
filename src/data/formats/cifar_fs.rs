//! CIFAR-FS (Bertinetto et al., ICLR 2019): `data/CLASS/IMAGE` and `splits/bertinetto/*.txt`.

use std::path::Path;

use super::class_folders::ClassFolders;
use super::mismatch::mismatch;
use super::splits::SplitLists;
use super::walk::folders;
use crate::config::Format;
use crate::data::DataError;
use crate::data::listing::Listing;

/// Lists the images under `root`; `splits` replaces Bertinetto's lists.
pub fn list(root: &Path, splits: Option<&Path>) -> Result<Listing, DataError> {
    let own = root.join("splits").join("bertinetto");
    let splits = splits.unwrap_or(&own);
    let data = root.join("data");
    if !data.is_dir() {
        return Err(mismatch(Format::CifarFs, root, "it has no folder `data`"));
    }
    if !splits.exists() {
        return Err(mismatch(Format::CifarFs, root, format!("{} is missing", splits.display())));
    }
    let mut classes = ClassFolders::default();
    classes.add_listed_folders(folders(&data)?, &SplitLists::read(splits)?, splits)?;
    Ok(classes.listing())
}
