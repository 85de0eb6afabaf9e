//! A pack of `fsct data pack`.

use std::path::Path;
use std::sync::Arc;

use crate::data::DataError;
use crate::data::listing::{Item, Listing};
use crate::data::pack::Pack;
use crate::data::source::ItemFile;

/// Lists the images of a pack.
pub fn list(path: &Path) -> Result<Listing, DataError> {
    let pack = Arc::new(Pack::open(path)?);
    let classes = pack.classes()?;
    let mut items = Vec::with_capacity(classes.iter().map(|class| class.names.len()).sum());
    for class in classes {
        let class_name = Arc::<str>::from(class.name);
        for (at, name) in class.names.into_iter().enumerate() {
            let file = ItemFile::Packed(pack.clone(), class.first + at);
            items.push(Item::new(class.split, class_name.clone(), name, file));
        }
    }
    Ok(Listing { items, ink_is_dark: pack.ink_is_dark(), ..Listing::default() })
}
