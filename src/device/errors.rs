//! Recognises a GPU's errors, which Burn reports only as the text of a panic.

/// What a message of the device means for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeviceFailure {
    /// An allocation was refused; the device still answers.
    OutOfMemory(String),
    /// The device failed; every later call of this process fails too.
    Lost(String),
}

/// CUDA's error numbers that have a plain meaning for a user.
const MEANINGS: [(u32, &str); 8] = [
    (214, "uncorrectable memory error (ECC)"),
    (700, "illegal memory access"),
    (702, "a kernel ran into the time limit of the display's driver"),
    (709, "the context was destroyed"),
    (715, "illegal instruction"),
    (716, "misaligned address"),
    (719, "a launch failed"),
    (999, "unknown error of the driver"),
];
const OUT_OF_MEMORY: u32 = 2;

impl DeviceFailure {
    /// What to say of it.
    #[cfg(feature = "cuda")]
    pub fn reason(self) -> String {
        match self {
            Self::OutOfMemory(reason) | Self::Lost(reason) => reason,
        }
    }

    /// The failure that a message tells of, if it tells of one.
    pub fn of(message: &str) -> Option<Self> {
        const FULL: [&str; 4] =
            ["out of device memory", "out of memory", "out_of_memory", "can't allocate buffer"];
        const FAILED: [&str; 2] = ["cuda_error_", "the device is poisoned"];
        if let Some((call, status)) = failed_call(message) {
            return Some(if status == OUT_OF_MEMORY {
                Self::OutOfMemory(format!("{call} found no memory left"))
            } else {
                let meaning = MEANINGS.iter().find(|(number, _)| *number == status);
                let meaning = meaning.map_or("error of the driver", |(_, text)| text);
                Self::Lost(format!("{meaning} (CUDA error {status} of {call})"))
            });
        }
        let names = |line: &str, words: &[&str]| {
            let line = line.to_lowercase();
            words.iter().any(|word| line.contains(word))
        };
        let line = |words: &[&str]| message.lines().find(|line| names(line, words));
        if let Some(line) = line(&FULL) {
            return Some(Self::OutOfMemory(spoken(line)));
        }
        line(&FAILED).map(|line| Self::Lost(spoken(line)))
    }
}

/// `out of memory (CUDA_ERROR_OUT_OF_MEMORY)` of `…: DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")`; any
/// other line unchanged.
fn spoken(line: &str) -> String {
    let inside = line.split_once("DriverError(").and_then(|(_, after)| after.split_once(", \""));
    let parts = inside.and_then(|(name, after)| Some((name, after.split_once('"')?.0)));
    parts.map_or_else(|| line.trim().to_owned(), |(name, text)| format!("{text} ({name})"))
}

/// The function and the number in `cuLaunchKernel failed with status 700`.
fn failed_call(message: &str) -> Option<(&str, u32)> {
    let (before, after) = message.split_once(" failed with status ")?;
    let call = before.rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_').next()?;
    let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
    Some((call, after[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let full = "An IO error happened\nCaused by:\n  out of device memory allocating 512 bytes\n<backtrace>";
        let Some(DeviceFailure::OutOfMemory(reason)) = DeviceFailure::of(full) else { panic!() };
        assert_eq!(reason, "out of device memory allocating 512 bytes");
        let lost = "Caused by: cuLaunchKernel failed with status 700\nBacktrace:";
        let Some(DeviceFailure::Lost(reason)) = DeviceFailure::of(lost) else { panic!() };
        assert_eq!(reason, "illegal memory access (CUDA error 700 of cuLaunchKernel)");
        let full = DeviceFailure::of("cuLaunchKernel failed with status 2");
        assert!(matches!(full, Some(DeviceFailure::OutOfMemory(_))));
        let start = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
        let reason = "out of memory (CUDA_ERROR_OUT_OF_MEMORY)";
        assert_eq!(DeviceFailure::of(start), Some(DeviceFailure::OutOfMemory(reason.into())));
        assert!(matches!(DeviceFailure::of(reason), Some(DeviceFailure::OutOfMemory(_))));
        let lost = "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access\")";
        assert!(matches!(DeviceFailure::of(lost), Some(DeviceFailure::Lost(_))));
        assert_eq!(DeviceFailure::of("index out of bounds"), None);
    }
}
