use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run writes for people when it ends: `true`, `false` or a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub struct Report {
    /// Whether `report.html` is written.
    pub html: bool,
}

/// As a pipeline has it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    /// All of it, or nothing.
    Switch(bool),
    /// What is listed here.
    Files(Files),
}

/// What a run writes for people when it ends, file by file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Files {
    /// `report.html`: curves, mistakes, features and memory on one page, for a browser.
    html: bool,
}

impl Default for Files {
    fn default() -> Self {
        Self { html: true }
    }
}

impl Default for Report {
    fn default() -> Self {
        Written::Files(Files::default()).into()
    }
}

impl From<Written> for Report {
    fn from(written: Written) -> Self {
        match written {
            Written::Switch(html) | Written::Files(Files { html }) => Self { html },
        }
    }
}

impl From<Report> for Written {
    fn from(report: Report) -> Self {
        Self::Switch(report.html)
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_switch_and_a_mapping_say_the_same() -> serde_json::Result<()> {
        let read = |text| serde_json::from_str::<Report>(text);
        assert_eq!(read("true")?, Report::default());
        assert_eq!(read("{}")?, Report::default());
        assert_eq!(read("false")?, read("{\"html\": false}")?);
        assert!(read("{\"pdf\": true}").is_err());
        assert_eq!(serde_json::to_string(&read("false")?)?, "false");
        Ok(())
    }
}
