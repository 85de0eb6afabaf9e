use std::collections::BTreeMap;

use crate::data::codec::SUFFIXES;

/// Files among the images whose suffix is not an image's.
#[derive(Debug, Default)]
pub struct Others {
    /// Files of each suffix, with the name of one.
    by_suffix: BTreeMap<String, (usize, String)>,
}

impl Others {
    /// Counts a file by its suffix.
    pub fn count(&mut self, name: String) {
        let file = name.rsplit('/').next().unwrap_or(&name);
        let suffix = file.rsplit_once('.').map(|(_, suffix)| suffix.to_lowercase());
        let suffix = suffix.map_or("without suffix".to_owned(), |suffix| format!(".{suffix}"));
        self.by_suffix.entry(suffix).or_insert((0, name)).0 += 1;
    }

    /// Adds those of another folder.
    pub fn add(&mut self, other: Self) {
        for (suffix, (count, name)) in other.by_suffix {
            self.by_suffix.entry(suffix).or_insert((0, name)).0 += count;
        }
    }

    /// What the user is told of them; `None` where there are none.
    pub fn note(&self) -> Option<String> {
        let of_suffix = |(suffix, (count, name)): (&String, &(usize, String))| {
            format!("{count} {suffix} (such as {name})")
        };
        let found: Vec<String> = self.by_suffix.iter().map(of_suffix).collect();
        (!found.is_empty()).then(|| {
            let read = SUFFIXES.join(", ");
            format!(
                "files that are not read as images: {}; suffixes that are read: {read}",
                found.join(", ")
            )
        })
    }
}
