//! The one way in which commands write to standard output and standard error.

use std::fmt::Arguments;
use std::io::{self, Write};

use crate::Error;

/// Writes to standard output, at once.
///
/// # Errors
/// [`Error::Stdout`]: the reader has closed it, or it is full.
pub(crate) fn to_stdout(text: Arguments) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_fmt(text).and_then(|()| stdout.flush()).map_err(Error::Stdout)
}

/// Writes to standard error. There is nobody to tell where that fails.
pub(crate) fn to_stderr(text: Arguments) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Prints to standard output; evaluates to a `Result`.
macro_rules! out {
    ($($argument:tt)*) => { $crate::cli::print::to_stdout(format_args!($($argument)*)) };
}

/// Prints a line to standard output; evaluates to a `Result`.
macro_rules! outln {
    ($($argument:tt)*) => {
        $crate::cli::print::to_stdout(format_args!("{}\n", format_args!($($argument)*)))
    };
}

/// Prints to standard error.
macro_rules! err {
    ($($argument:tt)*) => { $crate::cli::print::to_stderr(format_args!($($argument)*)) };
}

/// Prints a line to standard error.
macro_rules! errln {
    ($($argument:tt)*) => {
        $crate::cli::print::to_stderr(format_args!("{}\n", format_args!($($argument)*)))
    };
}

pub(crate) use {err, errln, out, outln};
