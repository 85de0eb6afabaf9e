//! An image is decoded or refused: PNG, JPEG, BMP and whatever else is read.
#![no_main]

use fsct::data::codec;
use libfuzzer_sys::fuzz_target;

/// Pixels of an image that are worth decoding.
const LARGEST: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = codec::open(bytes) else { return };
    let size = image.size();
    if size.width.saturating_mul(size.height) > LARGEST {
        return;
    }
    // A part first, as a crop reads it, then the whole.
    let (columns, rows) = (size.width / 4..size.width, size.height / 4..size.height);
    let _ = image.region(columns, rows, &mut |_, row| assert!(!row.is_empty()));
    let _ = image.raster();
});
