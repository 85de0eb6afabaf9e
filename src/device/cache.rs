//! The folder for what can be made again: compiled kernels, a copy of libdevice.

use std::env;
use std::path::PathBuf;

/// `$FSCT_CACHE`, else `fsct` in the user's cache folder (`$XDG_CACHE_HOME`, `~/.cache`, `%LOCALAPPDATA%`), else in
/// the folder for temporary files.
pub(crate) fn folder() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("FSCT_CACHE") {
        return folder;
    }
    let of_user = set("XDG_CACHE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| set("HOME").map(|home| home.join(".cache")));
    of_user.unwrap_or_else(env::temp_dir).join("fsct")
}
