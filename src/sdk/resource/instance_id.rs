//! What tells one instance of a service from the others: a random UUID.

/// A new UUID of version 4, as the [conventions] recommend for `service.instance.id`. `None` if the
/// system has nothing random to give.
///
/// It is not taken from a generator that is seeded once: two processes that were forked from one
/// would both be the same instance.
///
/// [conventions]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/service/
pub(super) fn random() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(version_4(u128::from_be_bytes(bytes)))
}

/// These bits, but for the six that say what kind of UUID it is.
fn version_4(bits: u128) -> String {
    let bits = bits & !(0xf << 76) | (0x4 << 76);
    let bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let mut uuid = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_are_those_of_a_random_uuid_and_all_other_bits_are_random() {
        assert_eq!(version_4(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(version_4(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(
            version_4(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            "01234567-89ab-4def-8123-456789abcdef"
        );
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
