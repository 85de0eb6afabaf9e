//! A run, or several, on one page of HTML that needs nothing else: styles, pictures and images are inside.
//!
//! A page is made of the files of a run's folder: its events, its result, its pipeline, and `report.json`.

mod chart;
mod features;
pub mod frontier;
mod memory;
mod novel;
mod one;
mod pairs;
mod plot;
mod record;
mod several;
mod training;

use std::io::{self, Write};
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

pub use record::Record;
pub use several::Overview;

use crate::run::RunError;
use crate::run::events::{Event, Finished, Reporter};
use crate::run::folder::{RunFolder, write_atomically};

/// Writes the page of a run.
///
/// # Errors
/// When the file cannot be written; then nothing is.
pub fn write(record: &Record, path: &Path) -> Result<(), RunError> {
    save("one.html", &one::section(record), path)
}

/// Writes a page that compares runs.
///
/// # Errors
/// When the file cannot be written; then nothing is.
pub fn write_several(runs: &[Overview], path: &Path) -> Result<(), RunError> {
    save("several.html", &several::section(runs), path)
}

fn save<T: Serialize>(template: &str, page: &T, path: &Path) -> Result<(), RunError> {
    let text = render(template, page).map_err(io::Error::other);
    let text = text.map_err(RunError::file("write", path))?;
    write_atomically(path, text.as_bytes())
}

fn render<T: Serialize>(template: &str, page: &T) -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    for (name, text) in [
        ("page.html", include_str!("templates/page.html")),
        ("chart.html", include_str!("templates/chart.html")),
        ("one.html", include_str!("templates/one.html")),
        ("novel.html", include_str!("templates/novel.html")),
        ("several.html", include_str!("templates/several.html")),
    ] {
        templates.add_template(name, text)?;
    }
    templates.add_filter("picture", picture);
    templates.add_global("style", Value::from_safe_string(STYLE.into()));
    templates.add_global("version", env!("CARGO_PKG_VERSION"));
    templates.get_template(template)?.render(context! { page => Value::from(Serde(page)) })
}

/// The address of a picture, whose slashes need no escape; empty where it is none, as `report.json` may come from
/// anywhere.
fn picture(address: &str) -> Value {
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"+/=:;,".contains(&it);
    let is_picture = address.starts_with("data:image/") && address.bytes().all(is_plain);
    Value::from_safe_string(if is_picture { address.to_owned() } else { String::new() })
}

const STYLE: &str = include_str!("templates/style.css");

/// Writes the page of a run when it ends.
#[derive(Debug, Default)]
pub struct Page;

impl Reporter for Page {
    fn report(&mut self, event: &Event) -> Result<(), RunError> {
        let Event::Finished(Finished { folder, .. }) = event else { return Ok(()) };
        let folder = RunFolder::open(folder);
        let written = Record::read(&folder).and_then(|record| write(&record, &folder.report()));
        if let Err(error) = written {
            // The run itself is complete. A page of an earlier end would be taken for this one's.
            let _ = std::fs::remove_file(folder.report());
            let run = folder.path().display();
            let _ = writeln!(
                io::stderr(),
                "warning: {error}; `fsct report {run}` writes the report again"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::picture;

    #[test]
    fn only_the_address_of_a_picture_is_not_escaped() {
        assert_eq!(
            picture("data:image/png;base64,aB+/0=").to_string(),
            "data:image/png;base64,aB+/0="
        );
        for other in ["", "https://a.b/c.png", "data:image/png;base64,\"><script>"] {
            assert_eq!(picture(other).to_string(), "");
        }
    }
}
