//! Patterns: what a path, a route or a header is compared with.

use std::fmt;

use wildmatch::WildMatch;

/// A text, or a glob.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Exactly(Box<str>),
    Glob(WildMatch),
}

impl Pattern {
    /// `*` stands for anything, also for nothing and for several segments, `?` for one character.
    pub(super) fn glob(text: &str) -> Self {
        // Most have neither, and comparing is cheaper than matching.
        if text.contains(['*', '?']) {
            Self::Glob(WildMatch::new(text))
        } else {
            Self::Exactly(text.into())
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exactly(expected) => **expected == *text,
            Self::Glob(glob) => glob.matches(text),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(text) => text.fmt(f),
            Self::Glob(glob) => glob.fmt(f),
        }
    }
}

/// Whether `path` is `prefix` or below it: `/a` has `/a/b` below it, and not `/ab`.
pub(super) fn is_below(prefix: &str, path: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_may_be_anything_and_a_text_is_itself() {
        for (pattern, yes, no) in [
            ("/healthz", vec!["/healthz"], vec!["/healthz/", "/healthz2", "/Healthz", ""]),
            ("/items/*", vec!["/items/", "/items/1", "/items/1/2"], vec!["/items", "/item/1"]),
            ("/?", vec!["/a", "/é"], vec!["/", "/ab"]),
            ("*.png", vec!["/a/b.png"], vec!["/a.pngx"]),
            ("*", vec!["", "/", "anything"], vec![]),
            ("/items/{id}", vec!["/items/{id}"], vec!["/items/1"]),
        ] {
            let pattern = Pattern::glob(pattern);
            for text in yes {
                assert!(pattern.matches(text), "{pattern} {text}");
            }
            for text in no {
                assert!(!pattern.matches(text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        for (prefix, yes, no) in [
            ("/admin", vec!["/admin", "/admin/", "/admin/a"], vec!["/administrator", "/adm", "/"]),
            ("/admin/", vec!["/admin/", "/admin/a"], vec!["/admin"]),
            ("/", vec!["/", "/a"], vec!["", "*"]),
        ] {
            for path in yes {
                assert!(is_below(prefix, path), "{prefix} {path}");
            }
            for path in no {
                assert!(!is_below(prefix, path), "{prefix} {path}");
            }
        }
    }
}
