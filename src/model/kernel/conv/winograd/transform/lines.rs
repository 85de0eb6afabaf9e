use pulp::Simd;

/// Arithmetic on vectors of lanes.
#[derive(Clone, Copy)]
pub struct Lines<S>(pub S);

impl<S: Simd> Lines<S> {
    #[inline(always)]
    pub fn add(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.add_f32s(a, b)
    }

    #[inline(always)]
    pub fn sub(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.sub_f32s(a, b)
    }

    #[inline(always)]
    pub fn times(self, factor: f32, a: S::f32s) -> S::f32s {
        self.0.mul_f32s(self.0.splat_f32s(factor), a)
    }

    /// `factor · a + b`.
    #[inline(always)]
    pub fn fma(self, factor: f32, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.mul_add_e_f32s(self.0.splat_f32s(factor), a, b)
    }
}

/// A vector of one of several values that lie beside each other.
#[inline(always)]
pub fn load<S: Simd, const L: usize>(values: &[f32; L], part: usize) -> S::f32s {
    S::as_simd_f32s(values).0[part]
}

/// The reverse of [`load`].
#[inline(always)]
pub fn store<S: Simd, const L: usize>(values: &mut [f32; L], part: usize, value: S::f32s) {
    S::as_mut_simd_f32s(values).0[part] = value;
}
