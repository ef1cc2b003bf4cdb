//! The process's command line, which may have secrets in it.

use opentelemetry::{KeyValue, StringValue, Value};

use crate::sdk::resource::detect::{
    system::System,
    value::{Found, LONGEST},
};

/// As many arguments as are taken.
const MOST: usize = 128;

pub(crate) fn detect(system: &System<'_>) -> Vec<KeyValue> {
    let arguments = || system.process.arguments.iter().map(|argument| argument.to_string_lossy());
    let mut found = Found::default().text("process.command", arguments().next()).into_attributes();
    let all: Vec<StringValue> =
        arguments().take(MOST).map(|argument| cut(&argument).to_owned().into()).collect();
    if !all.is_empty() {
        found.push(KeyValue::new("process.command_args", Value::Array(all.into())));
    }
    found
}

/// The argument's beginning. What it means is for people to see, so a part of it is better than
/// none.
fn cut(argument: &str) -> &str {
    let end = argument.floor_char_boundary(LONGEST);
    argument.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::system::ThisProcess;
    use crate::sdk::resource::detect::system::tests::{World, linux};

    use super::*;

    fn with(arguments: &[String]) -> World {
        let arguments = arguments.iter().map(Into::into).collect();
        World::new().process(ThisProcess { arguments, ..linux("/bin/shop") })
    }

    #[test]
    fn the_command_line_is_command_and_arguments() {
        let arguments = ["bin/shop", "--config=a b", "", "-v"].map(str::to_owned);
        let expected = [
            "process.command=bin/shop",
            "process.command_args=[\"bin/shop\",\"--config=a b\",\"\",\"-v\"]",
        ];
        assert_eq!(with(&arguments).find(detect), expected);
        assert_eq!(with(&[]).find(detect), [""; 0]);
    }

    #[test]
    fn a_long_command_line_is_cut_off() {
        let found = with(&vec!["x".to_owned(); 100_000]).find(detect);
        assert_eq!(found[1].matches("\"x\"").count(), MOST);
        let found = with(&["x".to_owned(), format!("x{}", "ü".repeat(5000))]).find(detect);
        assert_eq!(found[1].matches('ü').count(), (LONGEST - 1) / 2);
    }

    #[cfg(unix)]
    #[test]
    fn arguments_that_are_no_text_are_shown_as_far_as_they_are() {
        use std::{ffi::OsString, os::unix::ffi::OsStringExt};

        let arguments = vec!["shop".into(), OsString::from_vec(b"a\xffb".to_vec())];
        let process = ThisProcess { arguments, ..linux("/bin/shop") };
        let found = World::new().process(process).find(detect);
        assert_eq!(found[1], "process.command_args=[\"shop\",\"a\u{fffd}b\"]");
    }
}
