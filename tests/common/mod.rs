//! What several integration tests share.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod gradients;

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};

/// A file of the shared folder beside the checkout, or `None` (said aloud) where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("FSCT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let file = root.join(path);
    if file.exists() {
        Some(file)
    } else {
        eprintln!("skipped: {} is not here", file.display());
        None
    }
}

/// Tensors of a safetensors file, f32 only.
pub fn read_safetensors(bytes: &[u8]) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            assert_eq!(view.dtype(), Dtype::F32, "{name}");
            let values = view.data().chunks_exact(4);
            let values = values.map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect();
            (name, (view.shape().to_vec(), values))
        })
        .collect()
}

/// Largest absolute value.
pub fn max_abs(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |max, value| f64::max(max, f64::from(value.abs())))
}

/// Largest absolute difference.
pub fn max_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |max, (a, b)| f64::max(max, f64::from((a - b).abs())))
}
