use std::path::PathBuf;

use clap::Args;

use super::{Output, Root, sheet};
use crate::Error;
use crate::cli::print::{out, outln};
use crate::data::inspect::{Inspection, SplitFacts, inspect};

/// Names that are printed of a list; `--json` prints all.
const NAMED: usize = 10;

/// Say what is in a data set: classes, sizes, broken files, overlaps, possible episodes
///
/// Every image is read once. Exit code 1 when one cannot be read or is in several splits, or a class is
/// empty.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The data set to inspect.
    #[command(flatten)]
    root: Root,
    /// Write a contact sheet as PNG: one row per class, at most 20
    #[arg(long, value_name = "OUT.png")]
    sheet: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Reads every image and prints the report.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let listing = self.root.list(output)?;
        let found = inspect(&listing);
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&found).unwrap_or_default())?;
        } else {
            out!("{}", text(&found))?;
        }
        if let Some(path) = &self.sheet {
            sheet::write(&listing, path)?;
            if !output.quiet && !self.json {
                outln!("wrote {}", path.display())?;
            }
        }
        let is_sound = found.bad.is_empty()
            && found.empty_classes.is_empty()
            && found.shared_pictures.is_empty();
        if is_sound { Ok(()) } else { Err(Error::Rejected) }
    }
}

fn text(found: &Inspection) -> String {
    let mut text = String::new();
    for (name, split) in &found.splits {
        text += &of_split(name, split);
    }
    let list = |title: &str, names: Vec<String>| {
        if names.is_empty() {
            return String::new();
        }
        let mut text = format!("{title}: {}\n", names.len());
        for name in names.iter().take(NAMED) {
            text += &format!("  {name}\n");
        }
        if names.len() > NAMED {
            text += &format!("  and {} more (`--json` lists all)\n", names.len() - NAMED);
        }
        text
    };
    let bad = found.bad.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
    text += &list("images that cannot be read", bad);
    text += &list("classes without an image", found.empty_classes.clone());
    text += &list("classes in more than one split", found.shared_classes.iter().cloned().collect());
    let groups = |groups: &[Vec<String>]| groups.iter().map(|group| group.join(" = ")).collect();
    text += &list("the same image in several splits", groups(&found.shared_pictures));
    text += &list(
        "the same image in several classes or under several names",
        groups(&found.duplicates),
    );
    for note in &found.notes {
        text += &format!("note: {note}\n");
    }
    text
}

fn of_split(name: &str, split: &SplitFacts) -> String {
    let (least, most) = split.extremes();
    let each = if least == most { format!("{least}") } else { format!("{least} to {most}") };
    let mut sizes: Vec<String> =
        split.sizes.iter().take(3).map(|(size, count)| format!("{size} ({count})")).collect();
    if split.sizes.len() > 3 {
        sizes.push(format!("{} other sizes", split.sizes.len() - 3));
    }
    let colours = match split.grey {
        0 => "in colour".to_owned(),
        grey if grey == split.images => "grey".to_owned(),
        grey => format!("{grey} grey, {} in colour", split.images - grey),
    };
    let episodes: Vec<String> = [1, 5]
        .into_iter()
        .filter_map(|k_shot| {
            let n_query = split.n_query(5, k_shot)?;
            Some(format!("5-way {k_shot}-shot with up to {n_query} queries"))
        })
        .collect();
    let episodes = match episodes.is_empty() {
        true => {
            format!("no 5-way episode: {} classes, the smallest of {least}", split.classes.len())
        }
        false => episodes.join(", "),
    };
    format!(
        "{name}\n  classes   {}\n  images    {}, {each} a class\n  sizes     {}\n  colours   {colours}\n  \
         episodes  {episodes}\n",
        split.classes.len(),
        split.images,
        sizes.join(", "),
    )
}
