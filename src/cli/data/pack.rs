use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use rayon::prelude::*;

use super::{Output, Root, free};
use crate::Error;
use crate::cli::print::{errln, outln};
use crate::data::pack::PackWriter;
use crate::data::transform::{centre_view, view_of};
use crate::data::{DataError, EmptyClass, ImageShape, Item, mark_repeated};
use crate::report::table;
use crate::run::RunError;

/// Images decoded before they are written.
const CHUNK: usize = 512;

/// Write a data set as one file that is read in place
///
/// Each image is resized and cropped as in testing. The file is used like any root:
/// `data: {root: mini.fsct}`.
#[derive(Debug, Args)]
pub struct Pack {
    /// The data set to pack.
    #[command(flatten)]
    root: Root,
    /// Height and width of an image in pixels
    #[arg(long, default_value_t = 84, value_parser = clap::value_parser!(u16).range(8..=1024))]
    size: u16,
    /// One channel per image instead of three
    #[arg(long)]
    grey: bool,
    /// File to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Omit images that cannot be read, and list them
    #[arg(long)]
    skip_bad: bool,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

impl Pack {
    /// Decodes every image and writes the pack.
    pub fn run(self, output: Output) -> Result<(), Error> {
        free(&self.output, self.force)?;
        let started = Instant::now();
        let mut listing = self.root.list(output)?;
        listing.items.sort_by(|a, b| (a.split, &a.class).cmp(&(b.split, &b.class)));
        for split in listing.items.chunk_by_mut(|a, b| a.split == b.split) {
            mark_repeated(split);
        }
        if !output.quiet {
            listing.notes.iter().for_each(|note| errln!("note: {note}"));
            for EmptyClass { split, class, reason } in &listing.empty {
                errln!("note: class {class} of {split} has no image and is omitted: {reason}");
            }
        }
        let size = usize::from(self.size);
        let channels = if self.grey { 1 } else { 3 };
        let shape = ImageShape { channels, height: size, width: size };
        let items: Vec<&Item> = listing.items.iter().collect();
        let mut writer =
            PackWriter::create(&self.output, shape, listing.ink_is_dark).map_err(RunError::from)?;
        let mut bad = Vec::new();
        for chunk in items.chunks(CHUNK) {
            let decoded: Vec<Result<Vec<u8>, String>> = chunk
                .par_iter()
                .map(|item| {
                    let view = |size| centre_view(size, shape);
                    item.file.with(item.turns, |it| view_of(it, &view(it.size()), shape))
                })
                .collect();
            for (item, pixels) in chunk.iter().zip(decoded) {
                match pixels {
                    Ok(pixels) => writer
                        .add(item.split, &item.class, &item.name, &pixels)
                        .map_err(RunError::from)?,
                    Err(reason) if self.skip_bad => bad.push(format!("{}: {reason}", item.name)),
                    Err(reason) => {
                        let error = DataError::Image { name: item.name.clone(), reason };
                        return Err(Error::failed_with_help(
                            error.to_string(),
                            "repair or remove it, or omit all such images with `--skip-bad`",
                        ));
                    }
                }
            }
        }
        let bytes = writer.finish().map_err(RunError::from)?;
        bad.iter().for_each(|bad| errln!("omitted: {bad}"));
        if !output.quiet {
            outln!(
                "wrote {}: {} images of {size} px, {}, in {}{}",
                self.output.display(),
                items.len() - bad.len(),
                table::bytes(bytes),
                table::duration(started.elapsed().as_secs_f64()),
                if bad.is_empty() { String::new() } else { format!("; {} left out", bad.len()) },
            )?;
        }
        Ok(())
    }
}
