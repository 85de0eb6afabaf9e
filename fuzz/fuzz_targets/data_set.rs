//! A folder of files as a data set.

use std::fs;
use std::path::Path;

use fsct::config::{Overrides, load_str};
use fsct::data::{self, Split};

/// Opens a folder with these files, of any format, and reads a few images of each split.
pub fn open(files: &[(&str, &[u8])]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    for (name, bytes) in files {
        if fs::write(folder.path().join(name), bytes).is_err() {
            return;
        }
    }
    let text = format!(
        "data: {{root: '{}', image_size: 16}}\nbackbone: {{kind: conv4}}\nmethod: {{kind: fsct}}\n",
        folder.path().display()
    );
    let Ok(loaded) = load_str("fuzz.yaml", &text, &Overrides::default()) else { return };
    let Ok(data) = data::open(&loaded.pipeline, Path::new(".")) else { return };
    for split in Split::ALL {
        let set = data.split(split);
        for image in 0..set.len().min(8) {
            let _ = set.pixels(image);
        }
    }
}
