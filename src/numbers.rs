//! Numbers that may not be finite, in JSON.
//!
//! JSON has no NaN and no infinity. What this program writes has `null` in their place, and `null`
//! is read back as NaN. Every field of an event, a result or a checkpoint that may hold such a
//! number is marked with `#[serde(deserialize_with = "crate::numbers::finite_or_nan")]`; writing
//! needs no mark, as `serde_json` writes `null` itself.

use serde::{Deserialize, Deserializer};

/// Reads a number, or NaN where `null` is written.
pub(crate) fn finite_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Step {
        #[serde(deserialize_with = "finite_or_nan")]
        loss: f64,
    }

    #[test]
    fn what_is_not_finite_is_written_as_null_and_read_as_nan() {
        for loss in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let text = serde_json::to_string(&Step { loss }).unwrap();
            assert_eq!(text, "{\"loss\":null}");
            assert!(serde_json::from_str::<Step>(&text).unwrap().loss.is_nan());
        }
        let text = serde_json::to_string(&Step { loss: 0.1 }).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap().loss, 0.1);
        assert!(serde_json::from_str::<Step>("{}").is_err(), "a missing number is an error");
    }
}
