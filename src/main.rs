//! The `fsct` command.

use std::process::ExitCode;

use clap::Parser;
use fsct::cli::{Cli, print_error};

#[expect(unsafe_code, reason = "the environment of the process is set before anything reads it")]
fn main() -> ExitCode {
    // SAFETY: this is the first statement of the program, and no other thread runs.
    unsafe { fsct::device::read_records_onto_cpu() };
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
