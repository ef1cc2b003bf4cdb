//! The formats that are ours, by the names that they have in the environment.

use std::{any::Any, fmt, sync::LazyLock};

use http::{HeaderMap, HeaderName};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};

use crate::propagation::{
    B3, Baggage, Jaeger, TraceContext, XRay, b3, baggage,
    carrier::{BAGGAGE, Extracting, Injecting, Source, Target},
    jaeger,
    received::keep_random,
    trace_context, xray,
};

/// A format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    TraceContext,
    Baggage,
    B3,
    B3Multi,
    Jaeger,
    XRay,
}

/// What of a Context is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    All,
    /// Baggage is not, and none that is there stays.
    AllButBaggage,
}

impl Format {
    pub(super) const ALL: [Self; 6] =
        [Self::TraceContext, Self::Baggage, Self::B3, Self::B3Multi, Self::Jaeger, Self::XRay];

    /// By [the specification's name][names], in whichever case.
    ///
    /// [names]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| name.eq_ignore_ascii_case(format.name()))
    }

    /// The format of a propagator, if it is one of ours.
    pub(super) fn of(propagator: &dyn Any) -> Option<Self> {
        if propagator.is::<TraceContext>() {
            Some(Self::TraceContext)
        } else if propagator.is::<Baggage>() {
            Some(Self::Baggage)
        } else if let Some(b3) = propagator.downcast_ref::<B3>() {
            Some(b3.format())
        } else if propagator.is::<Jaeger>() {
            Some(Self::Jaeger)
        } else {
            propagator.is::<XRay>().then_some(Self::XRay)
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TraceContext => "tracecontext",
            Self::Baggage => "baggage",
            Self::B3 => "b3",
            Self::B3Multi => "b3multi",
            Self::Jaeger => "jaeger",
            Self::XRay => "xray",
        }
    }

    /// The Context with what was found; `None` if there was nothing.
    #[inline]
    pub(super) fn extract(self, cx: &Context, from: &impl Source) -> Option<Context> {
        match self {
            Self::TraceContext => trace_context::extract(cx, from),
            Self::Baggage => baggage::extract(cx, from),
            Self::B3 | Self::B3Multi => b3::extract(cx, from),
            Self::Jaeger => jaeger::extract(cx, from),
            Self::XRay => xray::extract(cx, from),
        }
    }

    /// Writes what the Context holds, in place of what was there.
    pub(super) fn inject(self, cx: &Context, to: &mut impl Target, part: Part) {
        let baggage = part == Part::All;
        match self {
            Self::TraceContext => trace_context::inject(cx, to),
            Self::Baggage => baggage::inject(cx, to, baggage),
            Self::B3 => b3::inject(cx, to, false),
            Self::B3Multi => b3::inject(cx, to, true),
            Self::Jaeger => jaeger::inject(cx, to, baggage),
            Self::XRay => xray::inject(cx, to),
        }
    }

    /// Takes away what is there.
    pub(super) fn clear(self, headers: &mut HeaderMap) {
        for name in self.names() {
            headers.remove(*name);
        }
        if self == Self::Jaeger {
            jaeger::clear_baggage(headers);
        }
    }

    /// Whether the format has other headers than those that are written.
    pub(super) fn has_encodings(self) -> bool {
        matches!(self, Self::B3 | Self::B3Multi)
    }

    pub(super) fn clear_baggage(self, headers: &mut HeaderMap) {
        match self {
            Self::Baggage => {
                headers.remove(&BAGGAGE);
            }
            Self::Jaeger => jaeger::clear_baggage(headers),
            Self::TraceContext | Self::B3 | Self::B3Multi | Self::XRay => {}
        }
    }

    /// The [fields] that are written, but for those whose names depend on what is.
    ///
    /// [fields]: https://opentelemetry.io/docs/specs/otel/context/api-propagators/#fields
    pub(super) fn fields(self) -> &'static [String] {
        static FIELDS: LazyLock<[Vec<String>; Format::ALL.len()]> = LazyLock::new(|| {
            Format::ALL.map(|format| format.written().iter().map(ToString::to_string).collect())
        });
        &FIELDS[self as usize]
    }

    pub(super) fn has_field(self, field: &str) -> bool {
        self.written().iter().any(|name| name.as_str().eq_ignore_ascii_case(field))
    }

    fn written(self) -> &'static [&'static HeaderName] {
        match self {
            Self::B3 => &b3::SINGLE_FIELDS,
            Self::B3Multi => &b3::MULTIPLE_FIELDS,
            _ => self.names(),
        }
    }

    /// All names that are read, but for those of Jaeger's baggage.
    pub(super) fn names(self) -> &'static [&'static HeaderName] {
        match self {
            Self::TraceContext => &trace_context::FIELDS,
            Self::Baggage => &baggage::FIELDS,
            Self::B3 | Self::B3Multi => &b3::NAMES,
            Self::Jaeger => &jaeger::FIELDS,
            Self::XRay => &xray::FIELDS,
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl B3 {
    const fn format(self) -> Format {
        if self.multiple_headers { Format::B3Multi } else { Format::B3 }
    }
}

/// Each of ours serves any other crate, with whatever carrier that has.
macro_rules! text_map_propagators {
    ($($propagator:ty: $format:expr;)*) => {$(
        impl TextMapPropagator for $propagator {
            fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
                let format: fn(&Self) -> Format = $format;
                format(self).inject(cx, &mut Injecting(injector), Part::All);
            }

            fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
                let format: fn(&Self) -> Format = $format;
                let found = format(self).extract(cx, &Extracting(extractor));
                found.map_or_else(|| cx.clone(), keep_random)
            }

            fn fields(&self) -> FieldIter<'_> {
                let format: fn(&Self) -> Format = $format;
                FieldIter::new(format(self).fields())
            }
        }
    )*};
}

text_map_propagators! {
    TraceContext: |_| Format::TraceContext;
    Baggage: |_| Format::Baggage;
    B3: |b3| b3.format();
    Jaeger: |_| Format::Jaeger;
    XRay: |_| Format::XRay;
}
