//! What several integration tests share.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod formula;
pub mod gradients;
pub mod layout;
pub mod reference;
pub mod workplace;

/// Largest absolute value.
pub fn max_abs(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |max, value| f64::max(max, f64::from(value.abs())))
}

/// Largest absolute difference.
pub fn max_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |max, (a, b)| f64::max(max, f64::from((a - b).abs())))
}

/// Notes that this machine cannot run a test, or a part of one.
///
/// The test fails, unless `FSCT_SKIPS` names a file: then a line is appended to it and the caller
/// may return. `.ci/run` prints these lines and their number at its end.
pub fn skip(test: &str, reason: &str) {
    use std::io::Write;
    let Some(list) = std::env::var_os("FSCT_SKIPS") else {
        panic!(
            "{test} cannot run here: {reason}. To skip such tests, set FSCT_SKIPS to a file that \
             lists them"
        );
    };
    let mut list = std::fs::OpenOptions::new().create(true).append(true).open(list).unwrap();
    writeln!(list, "{test}: {reason}").unwrap();
}
