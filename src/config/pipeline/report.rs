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
    /// Steps from one histogram of the gradients to the next; 0 for none.
    pub gradient_histograms: usize,
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
    /// Steps from one histogram of each parameter's gradient, before clipping, to the next; 0 writes none.
    ///
    /// They are written to `events.jsonl` and to the event file of TensorBoard, about 1 KB a parameter.
    gradient_histograms: usize,
}

impl Default for Files {
    fn default() -> Self {
        Self { html: true, tensorboard: false, gradient_histograms: 0 }
    }
}

impl Default for Report {
    fn default() -> Self {
        Written::Files(Files::default()).into()
    }
}

impl From<Files> for Report {
    fn from(Files { html, tensorboard, gradient_histograms }: Files) -> Self {
        Self { html, tensorboard, gradient_histograms }
    }
}

impl Report {
    /// Whether images and features of the test are kept.
    pub fn shows_test(&self) -> bool {
        self.html || self.tensorboard
    }
}

impl From<Written> for Report {
    fn from(written: Written) -> Self {
        match written {
            Written::Switch(html) => Files { html, ..Files::default() }.into(),
            Written::Files(files) => files.into(),
        }
    }
}

impl From<Report> for Written {
    fn from(report: Report) -> Self {
        match report {
            Report { html, tensorboard: false, gradient_histograms: 0 } => Self::Switch(html),
            Report { html, tensorboard, gradient_histograms } => {
                Self::Files(Files { html, tensorboard, gradient_histograms })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_switch_and_a_mapping_say_the_same() -> serde_json::Result<()> {
        let read = |text: &str| serde_json::from_str::<Report>(text);
        assert_eq!(read("true")?, Report::default());
        assert_eq!(read("{}")?, Report::default());
        assert_eq!(read("false")?, read("{\"html\": false}")?);
        assert!(read("{\"pdf\": true}").is_err());
        assert_eq!(serde_json::to_string(&read("false")?)?, "false");
        let both = read("{\"tensorboard\": true}")?;
        assert_eq!(both, Report { tensorboard: true, ..Report::default() });
        assert_eq!(read(&serde_json::to_string(&both)?)?, both);
        let often = read("{\"gradient_histograms\": 9}")?;
        assert_eq!(read(&serde_json::to_string(&often)?)?, often);
        Ok(())
    }
}
