//! Which image is of which class and split, before any image is opened.

use std::collections::HashSet;
use std::sync::Arc;

use super::Split;
use super::source::ItemFile;

/// What a data set holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// Images by class and name.
    pub items: Vec<Item>,
    /// Classes without an image.
    pub empty: Vec<EmptyClass>,
    /// Drawings: ink is dark on light paper, and 1 to the network.
    pub ink_is_dark: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A class without an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptyClass {
    /// The split of the class.
    pub split: Split,
    /// The name of the class.
    pub class: String,
    /// Why it has none.
    pub reason: String,
}

/// One image: its class, its split and where its bytes are.
#[derive(Debug, Clone)]
pub struct Item {
    /// Split of its class.
    pub split: Split,
    /// Name of its class.
    pub class: Arc<str>,
    /// Path inside the data set, `/` between its parts.
    pub name: String,
    /// Where its bytes are.
    pub file: ItemFile,
    /// Quarter turns against the clock.
    pub turns: u8,
}

impl Item {
    /// An image that is not turned.
    pub fn new(
        split: Split,
        class: impl Into<Arc<str>>,
        name: impl Into<String>,
        file: ItemFile,
    ) -> Self {
        Self { split, class: class.into(), name: name.into(), file, turns: 0 }
    }
}

/// Makes images unusable that are listed twice in a split: one image could be support and query of
/// an episode.
pub fn mark_repeated(items: &mut [Item]) {
    let mut seen: HashSet<&str> = HashSet::with_capacity(items.len());
    let again: Vec<usize> = (0..items.len()).filter(|at| !seen.insert(&items[*at].name)).collect();
    for at in again {
        items[at].file = ItemFile::Unusable("it is listed twice in this split".into());
    }
}
