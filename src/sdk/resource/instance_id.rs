//! What tells one instance of a service from the others: a random UUID.

use uuid::Builder;

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
    Some(Builder::from_random_bytes(bytes).into_uuid().to_string())
}

#[cfg(test)]
mod tests {
    use uuid::{Uuid, Variant, Version};

    use super::*;

    #[test]
    fn it_is_of_version_4_and_no_two_are_the_same() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one, other);
        let uuid: Uuid = one.parse().unwrap();
        assert_eq!(uuid.get_version(), Some(Version::Random));
        assert_eq!(uuid.get_variant(), Variant::RFC4122);
        assert_eq!(one, uuid.hyphenated().to_string());
    }
}
