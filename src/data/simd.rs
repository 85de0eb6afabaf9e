//! Proof that the processor has wide registers.

/// The processor has AVX2. A value of it exists only where that was detected, so that a function that
/// holds one may call code that is compiled for AVX2.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// Asks the processor; `None` without AVX2 or on another architecture.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return is_x86_feature_detected!("avx2").then_some(Self(()));
        #[cfg(not(target_arch = "x86_64"))]
        return None;
    }
}
