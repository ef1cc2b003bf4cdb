//! A resource's attributes, as they may be shown.

use opentelemetry::{Key, Value};

use crate::text::legible;

/// What a key is called whose value is nobody's business. The resource is the service's own, and
/// sent to every backend; but a description goes into logs.
const SECRET: [&str; 9] = [
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "token",
];
/// What was typed to start the program may be anything.
const TYPED: [&str; 2] = ["process.command_line", "process.command_args"];

/// `key=value`, or without the value if it may be a secret.
pub(super) fn attribute(key: &Key, value: &Value) -> String {
    let plain = key.as_str().to_ascii_lowercase().replace('-', "_");
    let secret = TYPED.contains(&plain.as_str()) || SECRET.iter().any(|word| plain.contains(word));
    let value = if secret { "REDACTED".to_owned() } else { legible(&value.to_string()) };
    format!("{}={value}", legible(key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown_and_nothing_commands_the_terminal() {
        for (key, value, shown) in [
            ("team", "checkout", "team=checkout"),
            ("db.Password", "s3cret", "db.Password=REDACTED"),
            ("x-api-key", "s3cret", "x-api-key=REDACTED"),
            ("process.command_line", "serve --key s3cret", "process.command_line=REDACTED"),
            ("te\u{1b}am", "\u{1b}[2J", "te\\u{1b}am=\\u{1b}[2J"),
        ] {
            assert_eq!(attribute(&Key::new(key), &Value::from(value)), shown);
        }
    }
}
