//! A pipeline's text is loaded or refused, and what is loaded is rendered to text that loads again.
#![no_main]

use fsct::config::{Overrides, load_str};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match load_str("fuzz.yaml", text, &Overrides::default()) {
        Ok(loaded) => {
            let yaml = loaded.pipeline.to_yaml();
            let again = load_str("again.yaml", &yaml, &Overrides::default());
            let again = again.unwrap_or_else(|faults| panic!("{faults:?}\n{yaml}"));
            assert_eq!(loaded.pipeline, again.pipeline);
        }
        Err(faults) => assert!(!fsct::cli::plain(&faults).is_empty()),
    }
});
