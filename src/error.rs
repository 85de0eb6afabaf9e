//! Errors of a command and their exit codes.

use std::{error::Error as StdError, fmt};

use crate::config::{Diagnostic, Diagnostics};

/// The reasons for which a command fails.
#[derive(Debug)]
pub enum Error {
    /// The pipeline is invalid: exit code 1, or 2 where its file cannot be read.
    Invalid(Diagnostics),
    /// The pipeline does not fit its memory budget: exit code 3.
    DoesNotFit(Failure),
    /// The user interrupted it: exit code 130.
    Interrupted(Failure),
    /// A requested check failed, and its result is already printed: exit code 1.
    Rejected,
    /// A file to check could not be read, and that is already printed: exit code 2.
    Unreadable,
    /// Standard output cannot be written. A reader that went away (`| head`) ends the command
    /// quietly, with the exit code of a program that SIGPIPE ended: 141. Anything else, such as a
    /// full disk, is exit code 2.
    Stdout(std::io::Error),
    /// Anything else: exit code 2.
    Failed(Failure),
}

/// An error without a location in a pipeline.
#[derive(Debug)]
pub struct Failure {
    message: String,
    help: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// Creates a failure with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, source: None }
    }

    /// Sets the next action for the user.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the underlying error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl Error {
    /// An error outside the pipeline.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(Failure::new(message))
    }

    /// An error outside the pipeline, with the next action.
    pub fn failed_with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Failed(Failure::new(message).help(help))
    }

    /// 1 invalid, 2 anything else, 3 does not fit, 130 interrupted, 141 nobody reads the output.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(diagnostics) if diagnostics.is_unreadable() => 2,
            Self::Invalid(_) | Self::Rejected => 1,
            Self::Stdout(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 141,
            Self::Failed(_) | Self::Unreadable | Self::Stdout(_) => 2,
            Self::DoesNotFit(_) => 3,
            Self::Interrupted(_) => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &dyn StdError)
    }
}

impl miette::Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_deref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(diagnostics) => diagnostics.fmt(f),
            Self::DoesNotFit(failure) | Self::Interrupted(failure) | Self::Failed(failure) => {
                failure.fmt(f)
            }
            Self::Stdout(error) => write!(f, "cannot write to standard output: {error}"),
            Self::Rejected => f.write_str("rejected"),
            Self::Unreadable => f.write_str("unreadable"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::DoesNotFit(failure) | Self::Interrupted(failure) | Self::Failed(failure) => {
                failure.source()
            }
            Self::Stdout(error) => Some(error),
            Self::Invalid(_) | Self::Rejected | Self::Unreadable => None,
        }
    }
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Invalid(diagnostics)
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Invalid(diagnostic.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rule;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let diagnostic = |kind| Error::from(Diagnostic::new(kind, "", None, ""));
        assert_eq!(diagnostic(Rule::Value).exit_code(), 1);
        assert_eq!(diagnostic(Rule::File).exit_code(), 2);
        assert_eq!(Error::failed("").exit_code(), 2);
        assert_eq!(Error::DoesNotFit(Failure::new("")).exit_code(), 3);
        assert_eq!(Error::Interrupted(Failure::new("")).exit_code(), 130);
        let stdout = |kind: std::io::ErrorKind| Error::Stdout(kind.into()).exit_code();
        assert_eq!(stdout(std::io::ErrorKind::BrokenPipe), 141);
        assert_eq!(stdout(std::io::ErrorKind::StorageFull), 2);
    }
}
