//! `fsct validate`

use std::path::PathBuf;

use super::print_faults;
use crate::{
    Error,
    config::{Overrides, load},
};

/// Check pipeline files without running them
#[derive(Debug, clap::Args)]
pub struct Validate {
    /// Pipeline files
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl Validate {
    /// Checks every file.
    pub fn run(self) -> Result<(), Error> {
        let mut rejected = false;
        for path in &self.paths {
            match load(path, &Overrides::from_process(Vec::new())) {
                Ok(loaded) => print_faults(&loaded.warnings),
                Err(faults) => {
                    rejected = true;
                    print_faults(&faults);
                }
            }
        }
        if rejected {
            Err(Error::Rejected)
        } else {
            Ok(())
        }
    }
}
