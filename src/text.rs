//! Strangers' text, and URLs that are none, made harmless before they are shown to people.

/// The most of a stranger's text that is worth repeating in a message.
const LONGEST: usize = 256;

/// The text with everything that could command a terminal written out.
#[cfg(feature = "console")]
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for char in text.chars() {
        show(char, &mut visible);
    }
    visible
}

/// The same, and not too long, as it may stand in a message or a log.
pub(crate) fn legible(text: &str) -> String {
    let mut legible = String::new();
    for char in text.chars() {
        if legible.len() >= LONGEST {
            legible.push('…');
            break;
        }
        show(char, &mut legible);
    }
    legible
}

/// A URL without what may be a password or a key: all before an `@` but the scheme, and all after
/// the path. It may be no URL at all, so nothing is taken for granted.
pub(crate) fn without_secrets(url: &str) -> String {
    let (before, rest) = match url.rsplit_once('@') {
        Some((before, rest)) => {
            let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
            (format!("{scheme}REDACTED@"), rest)
        }
        None => (String::new(), url),
    };
    match rest.find(['?', '#']) {
        Some(at) => format!("{before}{}REDACTED", &rest[..=at]),
        None => format!("{before}{rest}"),
    }
}

fn show(char: char, text: &mut String) {
    if char.is_control() || turns_text(char) {
        text.extend(char.escape_default());
    } else {
        text.push(char);
    }
}

/// The marks that turn the direction of what follows, so that it reads as something else.
fn turns_text(char: char) -> bool {
    matches!(char, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_command_the_terminal_is_written_out() {
        for char in
            ['\u{1b}', '\n', '\u{7f}', '\u{9b}', '\u{61c}', '\u{200f}', '\u{202e}', '\u{2066}']
        {
            for shown in [visible(&format!("a{char}b")), legible(&format!("a{char}b"))] {
                assert!(shown.is_ascii() && shown.starts_with("a\\"), "{shown}");
            }
        }
        assert_eq!(visible("名前 ok"), "名前 ok");
        assert_eq!(legible("a\u{1b}[2J\r\nb"), "a\\u{1b}[2J\\r\\nb");
    }

    #[test]
    fn a_message_repeats_no_more_than_is_worth_it() {
        assert_eq!(legible(&"x".repeat(100_000)).chars().count(), LONGEST + 1);
        assert_eq!(visible(&"x".repeat(1_000)).len(), 1_000);
    }
}
