use std::path::PathBuf;

/// Why weights cannot be loaded or written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum WeightsError {
    /// The file is not there, damaged, or of no known format.
    #[error("cannot read the weights {}: {reason}", path.display())]
    #[diagnostic(code(fsct::weights::unreadable), help("{help}"))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        help: String,
    },
    /// The file is of another network.
    #[error("the weights {} do not fit: {}", path.display(), list(problems))]
    #[diagnostic(code(fsct::weights::misfit), help("{help}"))]
    Misfit {
        /// The file.
        path: PathBuf,
        /// One entry a tensor.
        problems: Vec<String>,
        /// What to do.
        help: String,
    },
    /// A network has tensors that the names asked for do not cover.
    #[error("{reason}")]
    #[diagnostic(code(fsct::weights::names), help("{help}"))]
    Names {
        /// What has no name.
        reason: String,
        /// What to do.
        help: String,
    },
}

/// Tensors that a message names before it counts the others.
const NAMED: usize = 8;

fn list(problems: &[String]) -> String {
    let mut text = problems[..problems.len().min(NAMED)].join("; ");
    if problems.len() > NAMED {
        text.push_str(&format!("; and {} more", problems.len() - NAMED));
    }
    text
}
