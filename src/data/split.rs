use std::fmt;
use std::str::FromStr;

/// Classes for training, validation and test; they share none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// The classes to train on.
    Base,
    /// The classes to validate on.
    Val,
    /// The classes to test on.
    Novel,
}

impl Split {
    /// All splits, in their usual order.
    pub const ALL: [Self; 3] = [Self::Base, Self::Val, Self::Novel];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "base",
            Self::Val => "val",
            Self::Novel => "novel",
        })
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "base" | "train" => Ok(Self::Base),
            "val" => Ok(Self::Val),
            "novel" | "test" => Ok(Self::Novel),
            _ => Err(format!("there is no split `{text}`: use base, val or novel")),
        }
    }
}
