//! What an I/O error is called.

use std::io::ErrorKind;

/// The kind in `snake_case`, such as `connection_reset`: one of the standard library's few.
pub(crate) fn word(kind: ErrorKind) -> String {
    let kind = format!("{kind:?}");
    let mut word = String::with_capacity(kind.len() + 3);
    for (at, char) in kind.char_indices() {
        if char.is_ascii_uppercase() && at > 0 {
            word.push('_');
        }
        word.push(char.to_ascii_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_called_by_its_name() {
        assert_eq!(word(ErrorKind::ConnectionReset), "connection_reset");
        assert_eq!(word(ErrorKind::Other), "other");
        assert_eq!(word(ErrorKind::IsADirectory), "is_a_directory");
    }
}
