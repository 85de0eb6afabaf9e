//! How commands that list settings write them.

use serde::Serialize;

use super::print::outln;
use crate::Error;

/// The form of a list of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Format {
    /// A table
    #[default]
    Text,
    /// An array with one object per setting
    Json,
}

/// Prints the rows as JSON.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn json<T: Serialize>(rows: &[T]) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(rows);
    outln!("{}", json.map_err(|error| Error::failed(error.to_string()))?)
}
