use crate::model::names::Naming;

/// Part of a network that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The backbone; the head is not changed.
    Backbone,
    /// The head; the backbone is not changed.
    Head,
    /// The backbone and the head.
    Whole,
}

impl Scope {
    pub(super) fn takes(self, path: &str) -> bool {
        match self {
            Self::Backbone => path.starts_with("backbone."),
            Self::Head => path.starts_with("head."),
            Self::Whole => true,
        }
    }

    /// What to do about weights that do not fit.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Backbone => {
                "use weights of the same architecture, or list the tensors that may keep their initial \
                 values in `backbone.weights.allow_missing`"
            }
            Self::Head | Self::Whole => {
                "describe the model of the file in the pipeline: backbone, method, widths, ways and \
                 shots; a backbone that the file does not have can come from `backbone.weights`"
            }
        }
    }
}

/// What to look for in a file.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Part of the network.
    pub scope: Scope,
    /// How its tensors may be named; the naming that knows most of the file's wins.
    pub namings: &'a [Naming],
    /// Names, or patterns with `*`, of tensors that may stay as they are.
    pub allow_missing: &'a [String],
    /// Prefix of the names of the model to load, if the file has several models.
    pub prefix: Option<&'a str>,
    /// Whether the file may be of a deeper network, whose other blocks are then left.
    pub allow_deeper: bool,
}
