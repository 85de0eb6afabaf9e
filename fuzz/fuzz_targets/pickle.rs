//! A pickled data set is read or refused, and nothing in it is executed.
#![no_main]

mod data_set;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    data_set::open(&[
        ("mini-imagenet-cache-train.pkl", bytes),
        ("mini-imagenet-cache-val.pkl", bytes),
        ("mini-imagenet-cache-test.pkl", bytes),
    ]);
});
