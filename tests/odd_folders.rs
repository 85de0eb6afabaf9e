//! Folders with names that are not UTF-8, as old archives leave them: usable, or named as the fault.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    error::Error,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use fsct::config::{Overrides, load};

type Outcome = Result<(), Box<dyn Error>>;

/// `café` in Latin-1 below a folder, with a pipeline in it; `None` where the file system takes UTF-8 alone.
fn latin(folder: &Path, root: &str) -> Result<Option<PathBuf>, Box<dyn Error>> {
    let odd = folder.join(OsStr::from_bytes(b"caf\xe9"));
    if fs::create_dir_all(odd.join("data")).is_err() {
        return Ok(None);
    }
    let text =
        format!("data: {{root: {root}}}\nbackbone: {{kind: conv4}}\nmethod: {{kind: fsct}}\n");
    let path = odd.join("p.yaml");
    fs::write(&path, text)?;
    Ok(Some(path))
}

#[test]
fn a_relative_path_below_a_folder_that_yaml_cannot_name_is_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let Some(path) = latin(folder.path(), "data")? else { return Ok(()) };
    let said = load(&path, &Overrides::default()).unwrap_err();
    let [fault] = said.iter().collect::<Vec<_>>()[..] else { panic!("{said:?}") };
    assert_eq!(
        (fault.code(), fault.path.as_str()),
        ("fsct::data::root::not_utf8".into(), "data.root")
    );
    assert!(fault.message.contains("`data.root: data`"), "{}", fault.message);
    assert!(fault.help.as_deref().is_some_and(|help| help.starts_with("rename the folder")));
    Ok(())
}

#[test]
fn an_absolute_path_is_accepted_in_such_a_folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    fs::create_dir(&data)?;
    let Some(path) = latin(folder.path(), data.to_str().unwrap())? else { return Ok(()) };
    let loaded = load(&path, &Overrides::default()).unwrap();
    assert_eq!(loaded.absolute().data.root, Some(data));
    Ok(())
}

#[cfg(feature = "cli")]
#[test]
fn validate_takes_a_file_with_any_name() -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    fs::create_dir(&data)?;
    let Some(path) = latin(folder.path(), data.to_str().unwrap())? else { return Ok(()) };
    for argument in [path.as_path(), path.parent().unwrap()] {
        let done = assert_cmd::Command::cargo_bin("fsct")?
            .args(["validate", "--offline"])
            .arg(argument)
            .output()?;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}
