use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use super::Split;

/// Why images cannot be used.
#[derive(Debug, Error, Diagnostic)]
pub enum DataError {
    /// The pipeline asks for more than the data has: an error of the pipeline, under its key.
    #[error("{message}")]
    #[diagnostic(code(fsct::data), help("{help}"))]
    Pipeline {
        /// Key that asks for it, such as `episode.n_way`.
        key: String,
        /// What is asked and what is there.
        message: String,
        /// What to do.
        help: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}: {error}", path.display())]
    #[diagnostic(code(fsct::data::file))]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// An image is damaged.
    #[error("{name} is not an image that can be read: {reason}")]
    #[diagnostic(
        code(fsct::data::image),
        help("repair it, take it out of the data set, or set `data.on_bad_image: skip`")
    )]
    Image {
        /// Its path in the data set.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list of images or classes is wrong.
    #[error("{}: {reason}", path.display())]
    #[diagnostic(
        code(fsct::data::list),
        help("correct the list, or name another as `data.root` or `data.splits`")
    )]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An archive, a pack or a pickle is damaged, or not one.
    #[error("{} cannot be used: {reason}", path.display())]
    #[diagnostic(code(fsct::data::archive), help("copy, download or pack it again"))]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A class of a split has no image.
    #[error("class `{class}` of {split} has no image: {reason}")]
    #[diagnostic(
        code(fsct::data::class),
        help("add its images, remove the class, or set `data.on_bad_image: skip`")
    )]
    EmptyClass {
        /// The split.
        split: Split,
        /// The class.
        class: String,
        /// Why it has none.
        reason: String,
    },
    /// The thread that prepares episodes failed. This is a bug.
    #[error("the loader thread panicked: {reason}")]
    #[diagnostic(
        code(fsct::data::loader),
        help("please report this with the pipeline and the message")
    )]
    Loader {
        /// What the panic said.
        reason: String,
    },
    /// The system starts no more threads.
    #[error("the thread that prepares episodes cannot be started: {reason}")]
    #[diagnostic(
        code(fsct::data::threads),
        help(
            "raise the limits of processes and memory (`ulimit -u`, `ulimit -v`), or end other programs"
        )
    )]
    Threads {
        /// The system's message.
        reason: String,
    },
    /// A file of predictions is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    #[diagnostic(
        code(fsct::data::predictions),
        help("write it again with `fsct eval RUN --predictions OUT.jsonl`")
    )]
    Predictions {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file of episodes is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    #[diagnostic(
        code(fsct::data::episodes),
        help(
            "a line is {{\"classes\": [..], \"support\": [[image, ..], ..], \"query\": [[image, ..], ..]}}, one list of images a class"
        )
    )]
    Episodes {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl DataError {
    pub(super) fn pipeline(
        key: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Pipeline { key: key.into(), message: message.into(), help: help.into() }
    }

    /// An archive, a pack or a pickle that cannot be used.
    pub(super) fn archive(path: &Path, reason: impl Into<String>) -> Self {
        Self::Archive { path: path.to_owned(), reason: reason.into() }
    }

    /// Names what was being done to a file when it failed.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { doing, path, error }
    }
}
