//! Who says of itself that it is no person.

/// What names a program that reads the web for others. All of them publish that they send it.
const BOTS: [&str; 10] = [
    "googlebot",
    "bingbot",
    "duckduckbot",
    "yandexbot",
    "baiduspider",
    "applebot",
    "gptbot",
    "claudebot",
    "ccbot",
    "facebookexternalhit",
];

/// What names a program that looks whether a service is there.
const TESTS: [&str; 4] = ["alwayson", "googlehc/", "elb-healthchecker", "kube-probe"];

/// The [kind of synthetic traffic][type] that the user agent names: `bot` or `test`. It takes the
/// sender's word for it.
///
/// [type]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/user-agent/
pub(crate) fn synthetic_type(user_agent: &[u8]) -> Option<&'static str> {
    let names = |known: &[&str]| {
        known.iter().any(|name| {
            user_agent.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    if names(&TESTS) {
        Some("test")
    } else if names(&BOTS) {
        Some("bot")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_and_tests_are_told_from_people() {
        for (user_agent, synthetic) in [
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                Some("bot"),
            ),
            ("Mozilla/5.0 (compatible; BINGBOT/2.0)", Some("bot")),
            ("kube-probe/1.31", Some("test")),
            ("AlwaysOn", Some("test")),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", None),
            ("Cubot phone", None),
            ("", None),
        ] {
            assert_eq!(synthetic_type(user_agent.as_bytes()), synthetic, "{user_agent}");
        }
    }
}
