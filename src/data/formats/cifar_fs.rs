//! CIFAR-FS (Bertinetto et al., ICLR 2019): `data/CLASS/IMAGE` and `splits/bertinetto/*.txt`.

use std::path::Path;

use super::folder::{Classes, folders};
use super::{DataError, Listing, SplitLists, nothing};
use crate::config::Format;

/// Lists the images under `root`; `splits` takes the place of Bertinetto's lists.
pub fn list(root: &Path, splits: Option<&Path>) -> Result<Listing, DataError> {
    let own = root.join("splits").join("bertinetto");
    let splits = splits.unwrap_or(&own);
    let data = root.join("data");
    if !data.is_dir() {
        return Err(nothing(Format::CifarFs, root, "it has no folder `data`"));
    }
    if !splits.exists() {
        return Err(nothing(Format::CifarFs, root, format!("{} is missing", splits.display())));
    }
    let mut classes = Classes::default();
    classes.of_lists(&folders(&data)?, &SplitLists::read(splits)?, splits)?;
    Ok(classes.listing())
}
