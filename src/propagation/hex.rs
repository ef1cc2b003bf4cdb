//! Numbers as the formats spell them: hexadecimal digits of a fixed number, in lower case.

/// The number that up to 32 digits spell. `from_str_radix` would take `+` and capitals, too.
pub(super) fn lower(digits: &[u8]) -> Option<u128> {
    number(digits, &LOWER)
}

/// The same, in either case.
pub(super) fn any_case(digits: &[u8]) -> Option<u128> {
    number(digits, &ANY_CASE)
}

/// Appends the digits of a number, all that its bytes have.
pub(super) fn push(to: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        to.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
    }
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";

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
    // Half by half: arithmetic on 128 bits is not to be had for nothing.
    let (high, low) = digits.split_at_checked(digits.len().saturating_sub(16))?;
    let high = if high.is_empty() { 0 } else { half(high, worth)? };
    Some(u128::from(high) << 64 | u128::from(half(low, worth)?))
}

fn half(digits: &[u8], worth: &Worth) -> Option<u64> {
    let mut seen = 0;
    let mut number = 0;
    for &digit in digits {
        let digit = worth[usize::from(digit)];
        seen |= digit;
        number = number << 4 | u64::from(digit & 0xf);
    }
    (seen != NONE && !digits.is_empty() && digits.len() <= 16).then_some(number)
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
        }
    }
}
