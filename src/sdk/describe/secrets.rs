//! A resource's attributes, as they may be shown.

use opentelemetry::{Key, Value};

use crate::text::legible;

/// What a key is called whose value is nobody's business. The resource is the service's own, and
/// sent to every backend; but a description goes into logs.
const SECRET: [&str; 11] = [
    "access_key",
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "secret",
    "token",
];
/// What was typed to start the program may be anything.
const TYPED: [&str; 2] = ["process_command_line", "process_command_args"];

/// `key=value`, or without the value if it may be a secret.
pub(super) fn attribute(key: &Key, value: &Value) -> String {
    let secret = is_secret(key.as_str());
    let value = if secret { "REDACTED".to_owned() } else { legible(&value.to_string()) };
    format!("{}={value}", legible(key.as_str()))
}

/// The same of a list in the environment, `key=value,key=value`, which may be wrong anywhere. What has
/// no key is taken for more of what was before it.
pub(in crate::sdk) fn list(list: &str) -> String {
    let mut secret = false;
    let shown = list.split(',').map(|pair| match pair.split_once('=') {
        Some((key, value)) => {
            secret = is_secret(key.trim());
            if secret { format!("{key}=REDACTED") } else { format!("{key}={value}") }
        }
        None if secret => "REDACTED".to_owned(),
        None => pair.to_owned(),
    });
    shown.collect::<Vec<_>>().join(",")
}

fn is_secret(key: &str) -> bool {
    let plain = key.to_ascii_lowercase().replace(['-', '.'], "_");
    TYPED.contains(&plain.as_str()) || SECRET.iter().any(|word| plain.contains(word))
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
            ("vendor.api.key", "s3cret", "vendor.api.key=REDACTED"),
            ("process.command_line", "serve --key s3cret", "process.command_line=REDACTED"),
            ("te\u{1b}am", "\u{1b}[2J", "te\\u{1b}am=\\u{1b}[2J"),
        ] {
            assert_eq!(attribute(&Key::new(key), &Value::from(value)), shown);
        }
    }

    #[test]
    fn a_list_is_shown_without_its_secrets_wherever_they_are() {
        for (given, shown) in [
            ("team=a,oops", "team=a,oops"),
            (" team = a , ,b", " team = a , ,b"),
            ("Api-Key=s3cret,team=a,oops", "Api-Key=REDACTED,team=a,oops"),
            ("team=a,db.password=s3cret,s3cret,b=c", "team=a,db.password=REDACTED,REDACTED,b=c"),
        ] {
            assert_eq!(list(given), shown);
        }
    }
}
