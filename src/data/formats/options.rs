use std::path::Path;

use crate::config::Columns;

/// What a layout is read with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Lists of classes, `data.splits`.
    pub splits: Option<&'a Path>,
    /// Columns of a CSV list, `data.columns`.
    pub columns: Option<&'a Columns>,
    /// Whether turned copies of a class are classes of their own, `data.rotations`.
    pub rotations: bool,
    /// All classes are taken as one split, the training split, where nothing says which split they
    /// are in.
    pub one_split: bool,
}
