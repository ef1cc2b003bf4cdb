//! Numbers as the formats spell them: hexadecimal digits of a fixed number, in lower case.

/// The number that 16 digits spell. `from_str_radix` would take `+` and capitals, too.
pub(super) fn lower_16(digits: &[u8; 16]) -> Option<u64> {
    half(digits, &LOWER)
}

/// The same of 32 digits.
pub(super) fn lower_32(digits: &[u8; 32]) -> Option<u128> {
    // Half by half: arithmetic on 128 bits is not to be had for nothing.
    let (high, low) = digits.split_at(16);
    let half = |digits: &[u8]| lower_16(digits.try_into().ok()?).map(u128::from);
    Some(half(high)? << 64 | half(low)?)
}

/// The same of up to 32 digits, and at least one.
pub(super) fn lower(digits: &[u8]) -> Option<u128> {
    number(digits, &LOWER)
}

/// The same, in either case.
pub(super) fn any_case(digits: &[u8]) -> Option<u128> {
    number(digits, &ANY_CASE)
}

/// Writes the digits of a number, all that its bytes have, and gives what follows.
pub(super) fn write<'a>(to: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
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

/// What each byte is worth as a digit.
type Worth = [u8; 256];

/// What is no digit is worth more than any.
const NONE: u8 = 0xff;

static LOWER: Worth = {
    let mut worth = [NONE; 256];
    let mut digit = 0;
    while digit < 16 {
        worth[DIGITS[digit as usize] as usize] = digit;
        digit += 1;
    }
    worth
};

static ANY_CASE: Worth = {
    let mut worth = LOWER;
    let mut digit = 10;
    while digit < 16 {
        worth[DIGITS[digit as usize].to_ascii_uppercase() as usize] = digit;
        digit += 1;
    }
    worth
};

fn number(digits: &[u8], worth: &Worth) -> Option<u128> {
    let (high, low) = digits.split_at_checked(digits.len().saturating_sub(16))?;
    if low.is_empty() || high.len() > 16 {
        return None;
    }
    let low = half(low, worth)?;
    Some(u128::from(half(high, worth)?) << 64 | u128::from(low))
}

#[inline]
fn half(digits: &[u8], worth: &Worth) -> Option<u64> {
    let mut seen = 0;
    let mut number = 0;
    for &digit in digits {
        let digit = worth[usize::from(digit)];
        seen |= digit;
        number = number << 4 | u64::from(digit & 0xf);
    }
    (seen != NONE).then_some(number)
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
