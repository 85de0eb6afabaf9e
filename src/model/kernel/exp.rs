//! Exponentials and the error function in arithmetic that the compiler keeps in vector registers.

/// Added and taken away again, it rounds to a whole number, which is then in its lowest bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first has bits enough to spare for a product with a whole number.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Below it, powers of e are no longer normal numbers.
const LEAST: f32 = -87.0;

/// `eˣ` of a value that is not positive, to 2e-7 of it; e⁻⁸⁷ of anything below. NaN stays NaN, so that an overflow stays
/// visible.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x < LEAST { LEAST } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = x - whole * LN_2[0] - whole * LN_2[1];
    let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)));
    let part = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * tail)));
    // 2 to the power of the whole number, by its exponent.
    part * f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23)
}

/// From here on the error function is 1 in f32.
const FLAT: f32 = 4.0;
/// Coefficients of even powers, fitted over 0..4 so that the largest error is least (2e-8 before rounding).
#[expect(clippy::approx_constant, reason = "fitted: near 2/√π, and better than it")]
const ABOVE: [f32; 6] =
    [1.128_379, 0.196_246_9, 0.053_467_207, 0.004_003_56, 2.880_399_7e-4, 1.974_850_2e-6];
const UNDER: [f32; 6] =
    [1.0, 0.507_250_4, 0.116_475_57, 0.015_444_246, 0.001_216_340_2, 3.748_1e-5];

/// The error function, to 4e-7.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let within = if x > FLAT { FLAT } else { x };
    let within = if within < -FLAT { -FLAT } else { within };
    let square = within * within;
    let sum = |of: [f32; 6]| {
        let [a, b, c, d, e, f] = of;
        a + square * (b + square * (c + square * (d + square * (e + square * f))))
    };
    let value = within * sum(ABOVE) / sum(UNDER);
    let value = if value > 1.0 { 1.0 } else { value };
    if value < -1.0 { -1.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_f64() {
        for at in 0..=87_000 {
            let x = -(at as f32) / 1000.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 2e-7 * exact, "{x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(-1e30) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn the_error_function_is_that_of_f64() {
        for at in -50_000..=50_000 {
            let x = at as f32 / 10_000.0;
            let error = f64::from(erf(x)) - libm::erf(f64::from(x));
            assert!(error.abs() <= 4e-7, "{x}: {error:e}");
        }
        assert_eq!([erf(0.0), erf(f32::INFINITY), erf(f32::NEG_INFINITY)], [0.0, 1.0, -1.0]);
        assert!(erf(f32::NAN).is_nan());
    }
}
