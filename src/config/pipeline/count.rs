use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Most ways, shots or queries of an episode.
const MOST: usize = 1000;

/// A number of ways, shots or queries, `LEAST` or more: one for all episodes, or a range from which
/// each training episode draws its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Count<const LEAST: usize> {
    /// The same number in every episode.
    Fixed(usize),
    /// Every number of the range is equally likely.
    Between(Between),
}

/// The ends of a range, which belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// The least number of the range.
    pub min: usize,
    /// The greatest number of the range.
    pub max: usize,
}

impl<const LEAST: usize> Count<LEAST> {
    /// The range from `min` to `max`, or the number where they are equal.
    pub fn between(min: usize, max: usize) -> Self {
        if min == max { Self::Fixed(min) } else { Self::Between(Between { min, max }) }
    }

    /// The least number that an episode may have.
    pub fn min(self) -> usize {
        match self {
            Self::Fixed(count) | Self::Between(Between { min: count, .. }) => count,
        }
    }

    /// The greatest number that an episode may have.
    pub fn max(self) -> usize {
        match self {
            Self::Fixed(count) | Self::Between(Between { max: count, .. }) => count,
        }
    }

    /// Whether episodes have different numbers.
    pub fn varies(self) -> bool {
        self.min() < self.max()
    }
}

impl<const LEAST: usize> From<usize> for Count<LEAST> {
    fn from(count: usize) -> Self {
        Self::Fixed(count)
    }
}

/// `5`, or `1 to 5`.
impl<const LEAST: usize> fmt::Display for Count<LEAST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(count) => write!(f, "{count}"),
            Self::Between(Between { min, max }) => write!(f, "{min} to {max}"),
        }
    }
}

impl<const LEAST: usize> JsonSchema for Count<LEAST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Count{LEAST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let end = |description: &str| {
            json_schema!({
                "description": description,
                "type": "integer",
                "minimum": LEAST,
                "maximum": MOST,
            })
        };
        json_schema!({
            "anyOf": [
                {"type": "integer", "minimum": LEAST, "maximum": MOST},
                {
                    "type": "object",
                    "properties": {
                        "min": end("Least number of a training episode."),
                        "max": end("Greatest number of a training episode."),
                    },
                    "required": ["min", "max"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
