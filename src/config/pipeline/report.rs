use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run writes for people beside its results: `true`, `false` or a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub struct Report {
    /// Whether `report.html` is written.
    pub html: bool,
    /// Whether an event file of TensorBoard is written.
    pub tensorboard: bool,
}

/// As a pipeline has it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    /// `report.html`, or nothing.
    Switch(bool),
    /// What is listed here.
    Files(Files),
}

/// What a run writes for people beside its results, file by file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Files {
    /// `report.html`: curves, mistakes, features and memory on one page, for a browser.
    html: bool,
    /// Losses, accuracies, learning rate, memory and speed as an event file of TensorBoard in the run's folder, while
    /// the run trains. `tensorboard --logdir runs` shows them.
    tensorboard: bool,
}

impl Default for Files {
    fn default() -> Self {
        Self { html: true, tensorboard: false }
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
            Written::Switch(html) => Self { html, tensorboard: false },
            Written::Files(Files { html, tensorboard }) => Self { html, tensorboard },
        }
    }
}

impl From<Report> for Written {
    fn from(report: Report) -> Self {
        match report {
            Report { html, tensorboard: false } => Self::Switch(html),
            Report { html, tensorboard } => Self::Files(Files { html, tensorboard }),
        }
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
        let both = read("{\"tensorboard\": true}")?;
        assert_eq!(both, Report { html: true, tensorboard: true });
        assert_eq!(read(&serde_json::to_string(&both)?)?, both);
        Ok(())
    }
}
