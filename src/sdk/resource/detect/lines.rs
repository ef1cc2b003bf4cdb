//! Files of lines `KEY=VALUE`, as a shell would read them.

/// The value of a key, without the quotes around it. The last line with the key counts.
pub(super) fn shell_value(text: &str, key: &str) -> Option<String> {
    let value = |line: &str| {
        let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
        Some(unquoted(value.trim()))
    };
    text.lines().rev().find_map(value)
}

fn unquoted(value: &str) -> String {
    if let Some(inside) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inside.to_owned();
    }
    let inside = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let mut plain = String::new();
    let mut chars = inside.unwrap_or(value).chars();
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_a_shell_reads_it() {
        let text = "# A=comment\nA=plain\nB=\"double \\\"quoted\\\" \\$5\"\nC='single \\ quoted'\n\
                    AA=other\n D = no\nE=\nA=last\nF=\"half\n";
        for (key, value) in [
            ("A", Some("last")),
            ("B", Some("double \"quoted\" $5")),
            ("C", Some("single \\ quoted")),
            ("D", None),
            ("E", Some("")),
            ("F", Some("\"half")),
            ("G", None),
        ] {
            assert_eq!(shell_value(text, key).as_deref(), value, "{key}");
        }
    }
}
