//! The request method, folded to a known one.

use std::{borrow::Cow, sync::Arc};

use http::Method;
use opentelemetry::{StringValue, Value};

use crate::semconv::keys::OTHER;

/// The methods that are recorded as they are. The default is [the conventions'][known]: those of
/// RFC 9110, `PATCH` and `QUERY`. Case matters, so `get` is not known.
///
/// [known]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#common-attributes
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownMethods(Option<Arc<[Arc<str>]>>);

/// A method as it is recorded.
#[derive(Clone, Debug)]
pub(crate) enum Folded {
    /// One of the conventions'.
    Standard(&'static str),
    /// One of a list that the user gave.
    Custom(Arc<str>),
    Other,
}

impl KnownMethods {
    /// These and no others.
    pub(crate) fn of(methods: impl IntoIterator<Item = Method>) -> Self {
        Self(Some(methods.into_iter().map(|method| method.as_str().into()).collect()))
    }

    /// The methods in a list with commas, [and no others][list], and the entries that are none. A
    /// list without a method is [full replacement][list] too: then none is known.
    ///
    /// [list]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#common-attributes
    pub(crate) fn from_list(list: &str) -> (Self, Vec<&str>) {
        let mut bad = Vec::new();
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let methods: Vec<_> = entries
            .filter_map(|entry| {
                let method = Method::from_bytes(entry.as_bytes()).ok();
                if method.is_none() {
                    bad.push(entry);
                }
                method
            })
            .collect();
        (Self::of(methods), bad)
    }

    /// Those of a list; the default has none.
    #[cfg(feature = "sdk")]
    pub(crate) fn list(&self) -> String {
        self.0.as_deref().unwrap_or_default().join(", ")
    }

    pub(crate) fn fold(&self, method: &Method) -> Folded {
        let standard = standard(method.as_str());
        let Some(known) = &self.0 else {
            return standard.map_or(Folded::Other, Folded::Standard);
        };
        match known.iter().find(|known| ***known == *method.as_str()) {
            Some(known) => {
                standard.map_or_else(|| Folded::Custom(Arc::clone(known)), Folded::Standard)
            }
            None => Folded::Other,
        }
    }
}

fn standard(method: &str) -> Option<&'static str> {
    Some(match method {
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        "QUERY" => "QUERY",
        "TRACE" => "TRACE",
        _ => return None,
    })
}

impl Folded {
    /// The value of `http.request.method`.
    pub(crate) fn recorded(&self) -> Value {
        Value::String(match self {
            Self::Standard(method) => StringValue::from(*method),
            Self::Custom(method) => StringValue::from(Arc::clone(method)),
            Self::Other => StringValue::from(OTHER),
        })
    }

    /// One of the conventions' methods, if it is one.
    pub(crate) fn standard(&self) -> Option<&'static str> {
        match self {
            Self::Standard(method) => Some(method),
            Self::Custom(_) | Self::Other => None,
        }
    }

    pub(crate) fn is_other(&self) -> bool {
        matches!(self, Self::Other)
    }

    /// [`{method} {route}`][name], or `{method}` where no route is known; never the path. A
    /// stranger's method could be anything, so it is `HTTP`.
    ///
    /// [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
    pub(crate) fn span_name(&self, route: Option<&str>) -> Cow<'static, str> {
        let method = match self {
            Self::Standard(method) => method,
            Self::Custom(method) => &**method,
            Self::Other => "HTTP",
        };
        match (route, self) {
            (Some(route), _) => [method, " ", route].concat().into(),
            (None, Self::Standard(method)) => (*method).into(),
            (None, Self::Other) => "HTTP".into(),
            (None, Self::Custom(method)) => method.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(known: &KnownMethods, method: &str) -> (String, String) {
        let folded = known.fold(&Method::from_bytes(method.as_bytes()).unwrap());
        assert_eq!(folded.is_other(), folded.recorded().as_str() == OTHER);
        (folded.recorded().to_string(), folded.span_name(None).into_owned())
    }

    #[test]
    fn only_the_conventions_methods_are_known() {
        let known = KnownMethods::default();
        for method in [
            "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
        ] {
            assert_eq!(folded(&known, method), (method.to_owned(), method.to_owned()));
        }
        for method in ["get", "Get", "PURGE", "HTTP", "_OTHER"] {
            assert_eq!(folded(&known, method), (OTHER.to_owned(), "HTTP".to_owned()), "{method}");
        }
    }

    #[test]
    fn a_list_of_ones_own_is_all_there_is() {
        let (known, bad) = KnownMethods::from_list(" PURGE,POST ,, not a method,get");
        assert_eq!(bad, ["not a method"]);
        for method in ["PURGE", "POST", "get"] {
            assert_eq!(folded(&known, method), (method.to_owned(), method.to_owned()));
        }
        assert_eq!(folded(&known, "GET"), (OTHER.to_owned(), "HTTP".to_owned()));

        for nothing in [KnownMethods::of([]), KnownMethods::from_list("()").0] {
            assert_eq!(folded(&nothing, "GET").0, OTHER);
        }
    }

    #[test]
    fn the_name_has_the_route_and_never_more() {
        let name = |method: &str, route| {
            KnownMethods::default()
                .fold(&Method::from_bytes(method.as_bytes()).unwrap())
                .span_name(route)
        };
        assert_eq!(name("GET", None), "GET");
        assert_eq!(name("GET", Some("/items/{id}")), "GET /items/{id}");
        assert_eq!(name("CUSTOM", Some("/items/{id}")), "HTTP /items/{id}");
    }
}
