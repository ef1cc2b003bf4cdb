//! Thresholds: which part of the randomness is rejected.

use opentelemetry::TraceId;

use crate::error::BuildError;

/// How many values 56 random bits have, the specification's [`MaxAdjustedCount`][count].
///
/// [count]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#sampling-threshold-value-th
const VALUES: u64 = 1 << 56;

/// How many hexadecimal digits that is.
const DIGITS: u32 = 14;

/// How many digits of a threshold [say something][digits], but for those at its begin that all
/// thresholds near the same end have.
///
/// [digits]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#converting-floating-point-probability-to-threshold-value
const PRECISION: u32 = 4;

/// The [rejection threshold][threshold]: a trace is kept if its randomness is not below it.
///
/// [threshold]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#rejection-threshold-th
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Threshold(u64);

/// 56 random bits of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Randomness(u64);

impl Threshold {
    /// Rejects everything, which is [no probability sampling][zero] any more, and never written.
    ///
    /// [zero]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#sampling-probability
    pub(super) const KEEP_NONE: Self = Self(VALUES);

    /// Rejects nothing.
    pub(super) const KEEP_ALL: Self = Self(0);

    /// The threshold of a setting's ratio: [from 2⁻⁵⁶ to 1][range], or 0.
    ///
    /// [range]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#sampling-probability
    pub(super) fn of_setting(setting: &'static str, ratio: f64) -> Result<Self, BuildError> {
        if ratio == 0.0 {
            return Ok(Self::KEEP_NONE);
        }
        let must = "must be 0, or from 2⁻⁵⁶ to 1";
        Self::of_ratio(ratio).ok_or_else(|| BuildError::new(setting, ratio, must))
    }

    /// The threshold that keeps this share; none keeps less than 2⁻⁵⁶, or nothing.
    fn of_ratio(ratio: f64) -> Option<Self> {
        // A range contains no NaN.
        if !(1.0 / VALUES as f64..=1.0).contains(&ratio) {
            return None;
        }
        let exact = VALUES - (ratio * VALUES as f64).round() as u64;
        let digits = PRECISION + leading(ratio).max(leading(1.0 - ratio));
        let superfluous = 4 * DIGITS.saturating_sub(digits);
        let half = (1 << superfluous) >> 1;
        Some(Self((exact + half) >> superfluous << superfluous))
    }

    /// What the digits after `th:` say; [zeros at the end may be missing][decode].
    ///
    /// [decode]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#sampling-threshold-value-th
    pub(super) fn parse(digits: &str) -> Option<Self> {
        let missing = DIGITS.checked_sub(u32::try_from(digits.len()).ok()?)?;
        Some(Self(hex(digits)? << (4 * missing)))
    }

    /// 56 bits.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// The threshold whose bits they were.
    #[inline]
    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    /// The digits after `th:`. Zeros at the end are left out, but for one that is all there is.
    pub(super) fn digits(self) -> impl Iterator<Item = char> {
        let zeros = self.0.trailing_zeros().min(4 * DIGITS - 1) / 4;
        let digit = move |at| char::from_digit((self.0 >> (4 * at) & 0xf) as u32, 16);
        (zeros..DIGITS).rev().filter_map(digit)
    }

    /// The share of traces that it keeps.
    pub(super) fn ratio(self) -> f64 {
        (VALUES - self.0) as f64 / VALUES as f64
    }
}

impl Randomness {
    /// The [rightmost 56 bits][id] of the trace's id.
    ///
    /// [id]: https://www.w3.org/TR/trace-context-2/#randomness-of-trace-id
    #[inline]
    pub(super) fn of_id(id: TraceId) -> Self {
        let [.., a, b, c, d, e, f, g] = id.to_bytes();
        Self(u64::from_be_bytes([0, a, b, c, d, e, f, g]))
    }

    /// What the digits after `rv:` say, [which are 14][rv].
    ///
    /// [rv]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#explicit-randomness-value-rv
    pub(super) fn parse(digits: &str) -> Option<Self> {
        if digits.len() != DIGITS as usize {
            return None;
        }
        hex(digits).map(Self)
    }
}

/// How many digits at the begin of the threshold are `f`, or `0`, because this share is so small.
fn leading(share: f64) -> u32 {
    if share >= 0.5 {
        return 0;
    }
    // The exponent, as of a number from ½ to 1; below 2⁻⁵³ no digit is left to be counted.
    let exponent = (share.to_bits() >> 52) as u32;
    1022_u32.saturating_sub(exponent).min(4 * DIGITS) / 4
}

/// `from_str_radix` would take `+` and capitals, too.
fn hex(digits: &str) -> Option<u64> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !digits.bytes().all(is_digit) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_those_of_the_specifications_table() {
        for (n, digits) in [
            (1.0, "0"),
            (2.0, "8"),
            (3.0, "aaab"),
            (4.0, "c"),
            (5.0, "cccd"),
            (8.0, "e"),
            (10.0, "e666"),
            (16.0, "f"),
            (100.0, "fd70a"),
            (1_000.0, "ffbe77"),
            (10_000.0, "fff9724"),
            (100_000.0, "ffff583a"),
            (1_000_000.0, "ffffef39"),
        ] {
            let threshold = Threshold::of_ratio(1.0 / n).unwrap();
            assert_eq!(threshold.digits().collect::<String>(), digits, "1 in {n}");
            assert_eq!(Threshold::parse(digits), Some(threshold));
        }
    }

    #[test]
    fn both_ends_of_the_range_are_exact() {
        for (ratio, threshold) in [
            (1.0, 0),
            // One value in 2⁵⁶, and two.
            (1.0 / VALUES as f64, VALUES - 1),
            (2.0 / VALUES as f64, VALUES - 2),
            // 0.999: 0.001 × 2⁵⁶ is 0x00418937…, of which four digits count behind two zeros.
            (0.999, 0x0000_4189_0000_0000),
            // 1 - 2⁻⁵³, the last number before 1, has eight values of 2⁵⁶ to spare.
            (1.0 - 1.0 / (1_u64 << 53) as f64, 8),
        ] {
            assert_eq!(Threshold::of_ratio(ratio), Some(Threshold(threshold)), "{ratio}");
        }
        for ratio in [0.0, -0.0, -0.5, 1.0000000000000002, f64::NAN, f64::INFINITY, 1e-17] {
            assert_eq!(Threshold::of_ratio(ratio), None, "{ratio}");
        }
    }

    #[test]
    fn digits_come_back_as_they_were_written_and_nothing_else_is_read() {
        for (digits, threshold) in [
            ("0", 0),
            ("00", 0),
            ("8", VALUES / 2),
            ("08", VALUES / 32),
            ("fd70a4", 0x00fd_70a4_0000_0000),
            ("ffffffffffffff", VALUES - 1),
            ("00000000000001", 1),
        ] {
            let read = Threshold::parse(digits).unwrap();
            assert_eq!(read, Threshold(threshold), "{digits}");
            let written: String = read.digits().collect();
            assert_eq!(Threshold::parse(&written), Some(read), "{digits}");
        }
        for digits in ["", "g", "A", "+1", " 1", "000000000000000", "é"] {
            assert_eq!(Threshold::parse(digits), None, "{digits}");
        }
        for digits in ["", "8", "0000000000000g", "FFFFFFFFFFFFFF", "+0000000000001"] {
            assert_eq!(Randomness::parse(digits), None, "{digits}");
        }
        assert_eq!(Randomness::parse("6e6d1a75832a2f"), Some(Randomness(0x006e_6d1a_7583_2a2f)));
    }

    #[test]
    fn the_randomness_is_the_right_half_of_the_id_without_its_first_byte() {
        let id = TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(Randomness::of_id(id), Randomness(0x0048_eb21_1c80_319c));
    }

    #[test]
    fn what_is_at_the_threshold_is_kept() {
        let threshold = Threshold::of_ratio(0.5).unwrap();
        assert!(threshold.keeps(Randomness(VALUES / 2)));
        assert!(!threshold.keeps(Randomness(VALUES / 2 - 1)));
        assert!(Threshold::KEEP_ALL.keeps(Randomness(0)));
    }

    #[test]
    fn a_ratio_is_met_to_four_digits() {
        for ratio in [0.9999, 0.75, 0.3, 0.1, 0.02, 1e-3, 1e-6, 1e-9, 1e-12] {
            let met = Threshold::of_ratio(ratio).unwrap().ratio();
            assert!((met / ratio - 1.0).abs() < 1e-3, "{ratio}: {met}");
        }
    }
}
