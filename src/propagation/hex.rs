//! Ids as the formats spell them: hexadecimal digits of a fixed number, in lower case.

use opentelemetry::{SpanId, TraceId};

/// A trace's id, [which is not zero][zero].
///
/// [zero]: https://opentelemetry.io/docs/specs/otel/trace/api/#spancontext
pub(super) fn trace_id(number: u128) -> Option<TraceId> {
    Some(TraceId::from(number)).filter(|id| *id != TraceId::INVALID)
}

/// A span's id, which is not zero either.
pub(super) fn span_id(number: u64) -> Option<SpanId> {
    Some(SpanId::from(number)).filter(|id| *id != SpanId::INVALID)
}

/// The same, of its 16 digits.
pub(super) fn span_id_of(digits: &[u8]) -> Option<SpanId> {
    span_id(lower_16(digits.try_into().ok()?)?)
}

/// The number that two digits spell. `from_str_radix` would take `+` and capitals, too.
#[inline]
pub(super) fn lower_2([high, low]: [u8; 2]) -> Option<u8> {
    lower_8([b'0', b'0', b'0', b'0', b'0', b'0', high, low])?.to_le_bytes().first().copied()
}

/// The same of 16 digits.
#[inline]
pub(super) fn lower_16(digits: &[u8; 16]) -> Option<u64> {
    let ([high, low], _) = digits.as_chunks() else { return None };
    Some(u64::from(lower_8(*high)?) << 32 | u64::from(lower_8(*low)?))
}

/// The same of 32 digits. Always a part of whoever reads them: a call costs as much as a digit, and
/// whether it is one would depend on what else is compiled.
#[inline(always)]
pub(super) fn lower_32(digits: &[u8; 32]) -> Option<u128> {
    let ([high, low], _) = digits.as_chunks() else { return None };
    Some(u128::from(lower_16(high)?) << 64 | u128::from(lower_16(low)?))
}

/// The same of up to 32 digits, and at least one.
pub(super) fn lower(digits: &[u8]) -> Option<u128> {
    let mut padded = [b'0'; 32];
    let zeros = padded.len().checked_sub(digits.len()).filter(|_| !digits.is_empty())?;
    padded[zeros..].copy_from_slice(digits);
    lower_32(&padded)
}

/// The same, in either case.
pub(super) fn any_case(digits: &[u8]) -> Option<u128> {
    lower(&digits.to_ascii_lowercase())
}

/// Writes the digits of a number, all that its bytes have, and gives what follows.
pub(crate) fn write<'a>(to: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let (digits, rest) = to.split_at_mut(2 * bytes.len());
    let (digits, _) = digits.as_chunks_mut();
    for (digits, byte) in digits.iter_mut().zip(bytes) {
        *digits = PAIRS[usize::from(*byte)];
    }
    rest
}

/// Appends them.
pub(super) fn push(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = to.len();
    to.resize(length + 2 * bytes.len(), b'0');
    write(&mut to[length..], bytes);
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// The digits of each byte.
static PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0xf]];
        byte += 1;
    }
    pairs
};

/// The number that eight digits spell, all at once: each byte of a word is a digit.
#[inline]
fn lower_8(digits: [u8; 8]) -> Option<u32> {
    /// This byte, eight times.
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let text = u64::from_be_bytes(digits);
    // A letter is the one with this bit, and `a` is worth 9 more than its lower half.
    let letters = text >> 6 & each(1);
    let worth = (text & each(0xf)) + letters * 9;
    // Whatever is no digit is worth more than any, or is not what would be written for its worth.
    let above_9 = (worth + each(6)) >> 4 & each(1);
    let written = worth + each(b'0') + above_9 * u64::from(b'a' - b'0' - 10);
    if written != text || worth & each(0xf0) != 0 {
        return None;
    }
    // Two digits to a byte, two bytes to a pair, two pairs to the number.
    let bytes = (worth | worth >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    u32::try_from((pairs | pairs >> 16) & 0xffff_ffff).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_and_nothing_else_is() {
        for (digits, number) in [
            ("0", 0),
            ("00ff", 255),
            ("0123456789abcdef", 0x0123_4567_89ab_cdef),
            ("0af7651916cd43dd8448eb211c80319c", 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
            ("ffffffffffffffffffffffffffffffff", u128::MAX),
        ] {
            assert_eq!(lower(digits.as_bytes()), Some(number), "{digits}");
        }
        for digits in ["", "g", "+1", "-1", " 1", "0F", "é", "1\0", &"0".repeat(33)] {
            assert_eq!(lower(digits.as_bytes()), None, "{digits}");
        }
        // Each byte, in each place.
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"00000000";
                digits[place] = byte;
                let digit = char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
                let number = digit.map(|digit| digit << (4 * (7 - place)));
                assert_eq!(lower_8(digits), number, "{byte} at {place}");
            }
        }
        assert_eq!(lower_2(*b"a7"), Some(0xa7));
        assert_eq!(any_case(b"aBcDeF"), Some(0xabcdef));
        assert_eq!(any_case(b"G"), None);
        assert_eq!(any_case(b"@"), None);
    }

    #[test]
    fn what_is_written_is_read() {
        for number in [0, 1, 0xdead_beef, u128::MAX] {
            let mut digits = Vec::new();
            push(&mut digits, &number.to_be_bytes());
            assert_eq!(digits.len(), 32);
            assert_eq!(lower(&digits), Some(number));
            assert_eq!(lower_32(&digits.try_into().unwrap()), Some(number));
        }
    }
}
