//! Lists of images: the first byte chooses the kind of list, the rest is its text.
#![no_main]

mod data_set;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, text)) = bytes.split_first() else { return };
    let names = match kind % 4 {
        0 => ["base.json", "val.json", "novel.json"],
        1 => ["train.csv", "val.csv", "test.csv"],
        2 => ["train.json", "val.json", "test.json"],
        _ => ["train.txt", "val.txt", "test.txt"],
    };
    data_set::open(&names.map(|name| (name, text)));
});
