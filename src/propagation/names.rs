//! Which formats a list of names asks for.

use crate::{error::BuildError, propagation::format::Format};

const NONE: &str = "none";

/// What the code names.
pub(super) fn from_code<N: AsRef<str>>(
    names: impl IntoIterator<Item = N>,
) -> Result<Vec<Format>, BuildError> {
    let mut formats = Vec::new();
    let mut none = None;
    for name in names {
        let name = name.as_ref();
        match Format::named(name) {
            Some(format) => formats.push(format),
            None if name.eq_ignore_ascii_case(NONE) => none = Some(name.to_owned()),
            None => {
                let known = Format::ALL.map(Format::name).join(", ");
                let must = format!("must be one of {known}, or none alone");
                return Err(BuildError::new("propagator", name, must));
            }
        }
    }
    match none {
        Some(none) if !formats.is_empty() => {
            Err(BuildError::new("propagator", none, "cannot be together with others"))
        }
        _ => Ok(formats),
    }
}

/// What a variable names, separated by commas, and the entries that cannot be used. `None` if
/// there is nothing that can.
///
/// [An unknown entry is left out][enum]; so is `none` that is not alone.
///
/// [enum]: https://opentelemetry.io/docs/specs/otel/configuration/common/#enum
#[cfg(feature = "sdk")]
pub(super) fn from_list(list: &str) -> (Option<Vec<Format>>, Vec<(&str, &'static str)>) {
    let entries = || list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let formats: Vec<_> = entries().filter_map(Format::named).collect();
    let mut none = false;
    let mut bad = Vec::new();
    for entry in entries().filter(|entry| Format::named(entry).is_none()) {
        if !entry.eq_ignore_ascii_case(NONE) {
            bad.push((entry, "is no propagator that is known"));
        } else if formats.is_empty() {
            none = true;
        } else {
            bad.push((entry, "cannot be together with others"));
        }
    }
    ((none || !formats.is_empty()).then_some(formats), bad)
}

#[cfg(all(test, feature = "sdk"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_variable_names_is_taken_and_what_is_not_known_is_told() {
        use Format::{B3, B3Multi, Baggage, Jaeger, TraceContext, XRay};
        let unknown = "is no propagator that is known";
        for (list, formats, bad) in [
            ("tracecontext,baggage", Some(vec![TraceContext, Baggage]), vec![]),
            (" B3 ,, b3Multi ", Some(vec![B3, B3Multi]), vec![]),
            ("jaeger,xray,ottrace", Some(vec![Jaeger, XRay]), vec![("ottrace", unknown)]),
            ("none", Some(vec![]), vec![]),
            ("none,b3", Some(vec![B3]), vec![("none", "cannot be together with others")]),
            ("none,w3c", Some(vec![]), vec![("w3c", unknown)]),
            ("w3c", None, vec![("w3c", unknown)]),
            (" , ", None, vec![]),
        ] {
            assert_eq!(from_list(list), (formats, bad), "{list}");
        }
    }
}
