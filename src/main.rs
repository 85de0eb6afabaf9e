//! The `fsct` command.

use std::process::ExitCode;

use clap::Parser;
use fsct::cli::{Cli, print_error};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
