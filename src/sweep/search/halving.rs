//! The course of successive halving: which rung is open, and what closes it.

use std::fs;

use super::decision::{self, Decision};
use crate::Error;
use crate::atomic_file;
use crate::sweep::manifest::Manifest;

/// A rung that is not decided, or the last one.
#[derive(Debug)]
pub struct Open {
    /// Its number, from 0.
    pub rung: usize,
    /// Numbers of the cells that take part in it.
    pub cells: Vec<usize>,
}

/// The rung that is to be run, after those that are decided.
///
/// # Errors
/// The file of a rung is damaged, or belongs to another plan.
pub fn open(manifest: &Manifest) -> Result<Open, Error> {
    let mut cells: Vec<usize> = (0..manifest.entries.len()).collect();
    let last = manifest.rungs().len().saturating_sub(1);
    for rung in 0..last {
        let Some(decision) = Decision::read(manifest, rung)? else {
            return Ok(Open { rung, cells });
        };
        if !decision.fits(manifest, rung, &cells) {
            return Err(Error::failed_with_help(
                format!(
                    "`{}` was decided for another plan of this sweep",
                    decision::path(manifest, rung).display()
                ),
                "plan the sweep again with `fsct sweep plan`; the results of its cells are kept",
            ));
        }
        cells.retain(|at| decision.keeps(&manifest.entries[*at].id));
    }
    Ok(Open { rung: last, cells })
}

/// Decides a rung whose cells are all done or given up, unless another process has. Returns what holds.
///
/// # Errors
/// The folder cannot be written.
pub fn decide(manifest: &Manifest, open: &Open) -> Result<Decision, Error> {
    let decision = Decision::of(manifest, open.rung, &open.cells);
    let path = decision::path(manifest, open.rung);
    let text = format!("{:#}\n", serde_json::to_value(&decision).unwrap_or_default());
    match atomic_file::write_new(&path, text.as_bytes()) {
        Ok(()) => return Ok(decision),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(Error::failed_with_help(
                format!("`{}` cannot be written: {error}", path.display()),
                "check the folder, its permissions and the free space, then run the sweep again",
            ));
        }
    }
    Ok(Decision::read(manifest, open.rung)?.unwrap_or(decision))
}

/// Removes the decisions that do not fit the manifest, which was planned anew: they are made again from
/// the results that are there. Returns how many there were.
///
/// # Errors
/// A file cannot be removed.
pub fn forget_unfit(manifest: &Manifest) -> Result<usize, Error> {
    let mut cells: Vec<usize> = (0..manifest.entries.len()).collect();
    let last = manifest.rungs().len().saturating_sub(1);
    let mut first = 0;
    while first < last
        && let Ok(Some(decision)) = Decision::read(manifest, first)
        && decision.fits(manifest, first, &cells)
    {
        cells.retain(|at| decision.keeps(&manifest.entries[*at].id));
        first += 1;
    }
    let mut removed = 0;
    // A later one rests on those before it.
    for rung in first.. {
        let path = decision::path(manifest, rung);
        if !path.exists() {
            break;
        }
        fs::remove_file(path)?;
        removed += 1;
    }
    Ok(removed)
}
