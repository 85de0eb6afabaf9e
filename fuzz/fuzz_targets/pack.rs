//! A pack is opened or refused, and its classes, names and pixels are read.
#![no_main]

use fsct::data::pack::Pack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_err() {
        return;
    }
    let Ok(pack) = Pack::open(file.path()) else { return };
    let Ok(classes) = pack.classes() else { return };
    let images: usize = classes.iter().map(|class| class.names.len()).sum();
    for image in 0..images.min(64) {
        let _ = pack.pixels(image);
    }
});
