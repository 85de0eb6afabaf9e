//! Weights and inputs by a formula, and fingerprints of tensors: `tests/parity/formula.py` in Rust.
//!
//! Files of expected values hold results only, because both sides compute the inputs.

use serde_json::Value;

/// `count` numbers in [−1, 1): a hash of the position, seeded by the name.
pub fn uniform(name: &str, count: usize) -> Vec<f32> {
    let seed = crc32fast::hash(name.as_bytes());
    let number = |index: usize| {
        let mut x = (index as u32).wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        x ^= x >> 16;
        x = x.wrapping_mul(0x85EB_CA6B);
        x ^= x >> 13;
        x = x.wrapping_mul(0xC2B2_AE35);
        x ^= x >> 16;
        ((x >> 8) as f64 / 8_388_608.0 - 1.0) as f32
    };
    (0..count).map(number).collect()
}

/// Signed bytes in units of 1/256, as hexadecimal digits: the shifts of batch norms.
pub fn shifts(hex: &str) -> Vec<f32> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap().cast_signed();
    (0..hex.len()).step_by(2).map(|at| f32::from(byte(at)) / 256.0).collect()
}

/// The error of a tensor against its fingerprint, relative to `scale.norm` and `scale.max`: the
/// largest of those of its norm, its projections and its samples.
pub fn error_at_scale(key: &str, actual: &[f32], expected: &Value, scale: Scale) -> f64 {
    let number = |value: &Value| value.as_f64().unwrap();
    let norm = actual.iter().map(|it| f64::from(*it).powi(2)).sum::<f64>().sqrt();
    let mut worst = (norm - number(&expected["norm"])).abs() / scale.norm;
    for (index, dot) in expected["dot"].as_array().unwrap().iter().enumerate() {
        let direction = uniform(&format!("{key}*{index}"), actual.len());
        let found: f64 =
            actual.iter().zip(direction).map(|(a, b)| f64::from(*a) * f64::from(b)).sum();
        worst = f64::max(worst, (found - number(dot)).abs() / scale.norm);
    }
    let samples = expected["at"].as_array().unwrap();
    assert!(!samples.is_empty(), "{key}");
    for (place, value) in uniform(&format!("{key}#"), samples.len()).iter().zip(samples) {
        let at = ((f64::from(*place) + 1.0) / 2.0 * actual.len() as f64) as usize;
        let error = (f64::from(actual[at]) - number(value)).abs() / scale.max;
        worst = f64::max(worst, error);
    }
    assert!(!worst.is_nan(), "{key} is not finite");
    worst
}

/// What an error is relative to.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub norm: f64,
    pub max: f64,
}

impl Scale {
    pub fn of(expected: &Value) -> Self {
        let number = |key: &str| expected[key].as_f64().unwrap();
        Self { norm: number("norm"), max: number("max") }
    }
}

/// Fails where the tensor differs from its fingerprint by more than the tolerance.
pub fn check(key: &str, actual: &[f32], expected: &Value, tolerance: f64) {
    let error = error_at_scale(key, actual, expected, Scale::of(expected));
    assert!(error <= tolerance, "{key}: relative error {error:.2e} > {tolerance:.0e}");
}
