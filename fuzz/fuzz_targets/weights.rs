//! A file of weights is read or refused: zip, legacy and tar files of PyTorch, safetensors, checkpoints.
#![no_main]

use fsct::weights::WeightsFile;
use libfuzzer_sys::fuzz_target;

/// Bytes of a tensor that are worth reading.
const LARGEST: usize = 1 << 24;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_err() {
        return;
    }
    let Ok(weights) = WeightsFile::open(file.path()) else { return };
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    for name in names {
        let shape = weights.shape(&name).unwrap_or_default();
        let count = shape.iter().try_fold(1_usize, |count, side| count.checked_mul(*side));
        if count.is_some_and(|count| count < LARGEST)
            && weights.wrong_type(&name).is_none()
            && let Ok(values) = weights.values(&name)
        {
            assert_eq!(Some(values.len()), count, "{name}");
        }
    }
});
