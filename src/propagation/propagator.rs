//! The propagator a layer uses: a list of formats, of others' propagators, or the global one.

use std::{
    any::Any,
    cell::Cell,
    fmt, mem,
    sync::{Arc, LazyLock},
};

use http::HeaderMap;
use opentelemetry::{
    Context,
    baggage::BaggageExt,
    global,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::TraceContextExt,
};

use crate::{
    error::BuildError,
    propagation::{
        carrier::{Extracting, Injecting, Lines, Written},
        format::{Format, Part},
        names,
        received::{keep_random, of_this_span},
    },
};

/// A shared handle to one or more propagators, which works on header maps.
///
/// Cloning it is one reference count. It is a [`TextMapPropagator`] itself, so it goes wherever
/// OpenTelemetry wants one.
///
/// Several are [used in their order][composite], for reading and for writing. What a later one
/// finds counts; if it is the same span, it adds to what an earlier one has found.
///
/// ```
/// use opentelemetry::Context;
/// use tower_telemetry::propagation::{B3, Baggage, Propagator, TraceContext};
///
/// // W3C's formats, and B3 for the mesh.
/// let propagator =
///     Propagator::new(TraceContext::new()).and(Baggage::new()).and(B3::new());
/// assert_eq!(format!("{propagator:?}"), "[tracecontext, baggage, b3]");
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1".parse()?);
/// let cx = propagator.extract(&Context::new(), &headers);
/// propagator.inject(&cx, &mut headers);
/// assert_eq!(
///     headers["traceparent"],
///     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
/// );
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
///
/// [composite]: https://opentelemetry.io/docs/specs/otel/context/api-propagators/#composite-propagator
#[derive(Clone)]
pub struct Propagator(Arc<List>);

#[derive(Default)]
struct List {
    members: Vec<Member>,
    /// All that they write, but for the global one, which may be another by the time they are read.
    fields: Vec<String>,
}

#[derive(Clone)]
enum Member {
    /// Ours, which reads and writes a header map without OpenTelemetry's carriers, and what those
    /// allocate.
    Known(Format),
    Foreign(Arc<dyn TextMapPropagator + Send + Sync>),
    /// Whatever is global by then.
    Global,
}

/// A member that was found, where it was to be looked for.
enum One<'a> {
    Known(Format),
    Foreign(&'a dyn TextMapPropagator),
}

impl Propagator {
    /// A handle to `propagator`, which may be one of this module or any other. Of a handle it is
    /// another handle to the same.
    pub fn new<P>(propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        let any: &dyn Any = &propagator;
        if let Some(handle) = any.downcast_ref::<Self>() {
            return handle.clone();
        }
        let member = match Format::of(any) {
            Some(format) => Member::Known(format),
            None => Member::Foreign(Arc::new(propagator)),
        };
        Self::of([member])
    }

    /// A handle to whatever the global propagator is each time the handle is used. OpenTelemetry's
    /// default global propagator does nothing.
    #[must_use]
    pub fn global() -> Self {
        static GLOBAL: LazyLock<Propagator> = LazyLock::new(|| Propagator::of([Member::Global]));
        GLOBAL.clone()
    }

    /// Neither reads nor writes anything, so that every request starts a trace.
    ///
    /// ```
    /// use tower_telemetry::{TraceLayer, propagation::Propagator};
    ///
    /// let layer = TraceLayer::new().with_propagator(Propagator::none());
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn none() -> Self {
        Self::of([])
    }

    /// The propagators of these [names], in their order: `tracecontext`, `baggage`, `b3` (the
    /// single header), `b3multi`, `jaeger`, `xray`, in whichever case; one that is named twice
    /// counts once. `none`, alone, and no name at all are [none](Self::none).
    ///
    /// ```
    /// use tower_telemetry::propagation::Propagator;
    ///
    /// let propagator = Propagator::named(["tracecontext", "b3multi"])?;
    /// assert_eq!(format!("{propagator:?}"), "[tracecontext, b3multi]");
    ///
    /// let error = Propagator::named(["tracecontext", "w3c"]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid propagator `w3c`: must be one of tracecontext, baggage, b3, b3multi, jaeger, \
    ///      xray, or none alone"
    /// );
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A name is not known, or `none` is not alone.
    ///
    /// [names]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
    pub fn named<N>(names: impl IntoIterator<Item = N>) -> Result<Self, BuildError>
    where
        N: AsRef<str>,
    {
        names::from_code(names).map(Self::of_formats)
    }

    /// The same of a variable's value, with the entries that cannot be used, and why. `None` if
    /// there is nothing that can.
    #[cfg(feature = "sdk")]
    pub(crate) fn from_list(list: &str) -> (Option<Self>, Vec<(&str, &'static str)>) {
        let (formats, bad) = names::from_list(list);
        (formats.map(Self::of_formats), bad)
    }

    /// This one and then `propagator`, which may be a list itself. One of this module's that is on
    /// the list already is not added again. After [`global`](Self::global), the global propagator
    /// is asked first each time; made global itself, the list leaves that one out.
    ///
    /// Others belong before ours: they know nothing of what is [beside the
    /// span](crate::propagation#what-a-span-does-not-hold), and cannot overrule it for the same span.
    #[must_use]
    pub fn and<P>(self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        let other = Self::new(propagator);
        Self::of(self.0.members.iter().chain(&other.0.members).cloned())
    }

    /// Reads what the propagators find in `headers`, the remote span above all; gives `cx` back,
    /// with it if there was something.
    ///
    /// What is malformed is as good as absent and never an error: [the headers name no
    /// parent][restart].
    ///
    /// [restart]: https://www.w3.org/TR/trace-context-2/#a-traceparent-is-not-received
    #[must_use]
    #[inline]
    pub fn extract(&self, cx: &Context, headers: &HeaderMap) -> Context {
        self.extract_and(keep_random, cx, headers)
    }

    /// The same for a span of ours, which keeps what a tracer would lose.
    pub(crate) fn extract_parent(&self, cx: &Context, headers: &HeaderMap) -> Context {
        self.extract_and(|cx| cx, cx, headers)
    }

    /// Writes what `cx` holds into `headers`, the span above all. If there is a span, it is written
    /// in place of whatever the propagators' [fields] held.
    ///
    /// [fields]: https://opentelemetry.io/docs/specs/otel/context/api-propagators/#fields
    pub fn inject(&self, cx: &Context, headers: &mut HeaderMap) {
        self.inject_part(cx, headers, Part::All);
    }

    /// The same, but without [baggage](opentelemetry::baggage), also none that was there.
    pub(crate) fn inject_without_baggage(&self, cx: &Context, headers: &mut HeaderMap) {
        self.inject_part(cx, headers, Part::AllButBaggage);
    }

    /// Does something with the Context if anything was found.
    fn extract_and(
        &self,
        then: fn(Context) -> Context,
        cx: &Context,
        headers: &HeaderMap,
    ) -> Context {
        let mut found = None;
        for member in &self.0.members {
            let cx = found.as_ref().unwrap_or(cx);
            let more = match member {
                Member::Known(format) => format.extract(cx, headers),
                other => other.extract_foreign(cx, &Lines::new(headers)),
            };
            if more.is_some() {
                found = more;
            }
        }
        found.map_or_else(|| cx.clone(), then)
    }

    fn inject_part(&self, cx: &Context, headers: &mut HeaderMap, part: Part) {
        let has_span = cx.span().span_context().is_valid();
        let mut is_cleared = false;
        self.for_each(|member| match member {
            One::Known(format) => {
                // Of two encodings of one format neither takes the other away.
                if has_span && format.has_encodings() && !mem::replace(&mut is_cleared, true) {
                    format.clear(headers);
                }
                format.inject(cx, headers, part);
            }
            One::Foreign(foreign) => inject_foreign(foreign, cx, headers, part),
        });
    }

    /// Takes baggage away, if that is for the propagators to write.
    pub(crate) fn clear_baggage(&self, headers: &mut HeaderMap) {
        self.for_each(|member| match member {
            One::Known(format) => format.clear_baggage(headers),
            One::Foreign(foreign) => clear_foreign_baggage(foreign, headers),
        });
    }

    /// Takes away whatever is in the propagators' fields.
    pub(crate) fn clear(&self, headers: &mut HeaderMap) {
        self.for_each(|member| match member {
            One::Known(format) => format.clear(headers),
            One::Foreign(foreign) => clear_foreign(foreign, headers),
        });
    }

    /// Whether it writes a span, as OpenTelemetry's default does not.
    pub(crate) fn writes_spans(&self) -> bool {
        let mut any = false;
        self.for_each(|member| {
            any |= match member {
                One::Known(format) => format != Format::Baggage,
                One::Foreign(foreign) => {
                    foreign.fields().any(|field| !Format::Baggage.has_field(field))
                }
            };
        });
        any
    }

    /// Whether all of it is ours. Others may have a meaning of their own for some flags.
    pub(crate) fn is_ours(&self) -> bool {
        let mut ours = true;
        self.for_each(|member| ours &= matches!(member, One::Known(_)));
        ours
    }

    /// Whether it is the global one, whatever that is.
    #[cfg(feature = "sdk")]
    pub(crate) fn is_global(&self) -> bool {
        matches!(self.0.members[..], [Member::Global])
    }

    /// Whatever may be left of the formats: their fields, and what else is read of them.
    pub(super) fn for_each_name(&self, mut each: impl FnMut(&str)) {
        self.for_each(|member| match member {
            One::Known(format) => format.names().iter().for_each(|name| each(name.as_str())),
            One::Foreign(foreign) => {
                for format in known(foreign) {
                    format.names().iter().for_each(|name| each(name.as_str()));
                }
                foreign.fields().for_each(&mut each);
            }
        });
    }

    #[inline]
    fn for_each(&self, mut each: impl FnMut(One<'_>)) {
        for member in &self.0.members {
            match member {
                Member::Known(format) => each(One::Known(*format)),
                Member::Foreign(foreign) => each(One::Foreign(&**foreign)),
                Member::Global => {
                    with_global(|global| each(One::Foreign(global)));
                }
            }
        }
    }

    fn of_formats(formats: impl IntoIterator<Item = Format>) -> Self {
        Self::of(formats.into_iter().map(Member::Known))
    }

    fn of(members: impl IntoIterator<Item = Member>) -> Self {
        let mut list = List::default();
        for member in members {
            list.add(member);
        }
        Self(Arc::new(list))
    }
}

impl Member {
    /// The Context with what somebody else's propagator has found.
    #[cold]
    fn extract_foreign(&self, cx: &Context, extractor: &dyn Extractor) -> Option<Context> {
        let found = match self {
            Self::Known(_) => None,
            Self::Foreign(foreign) => Some(foreign.extract_with_context(cx, extractor)),
            Self::Global => with_global(|global| global.extract_with_context(cx, extractor)),
        };
        found.map(|found| of_this_span(cx, found))
    }
}

impl List {
    fn add(&mut self, member: Member) {
        let fields: Vec<String> = match &member {
            Member::Known(format) if self.has(*format) => return,
            Member::Known(format) => format.fields().to_vec(),
            Member::Foreign(propagator) => propagator.fields().map(str::to_owned).collect(),
            Member::Global => Vec::new(),
        };
        for field in fields {
            if !self.fields.contains(&field) {
                self.fields.push(field);
            }
        }
        self.members.push(member);
    }

    fn has(&self, format: Format) -> bool {
        let is = |member: &Member| matches!(member, Member::Known(known) if *known == format);
        self.members.iter().any(is)
    }
}

/// The global propagator. Inside of itself, which it may be made of, there is none.
fn with_global<T>(job: impl FnOnce(&dyn TextMapPropagator) -> T) -> Option<T> {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }

    /// Also if the propagator panics.
    struct Leave;

    impl Drop for Leave {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }

    if INSIDE.replace(true) {
        return None;
    }
    let _leave = Leave;
    let mut job = Some(job);
    global::get_text_map_propagator(|global| job.take().map(|job| job(global)))
}

fn inject_foreign(
    propagator: &dyn TextMapPropagator,
    cx: &Context,
    headers: &mut HeaderMap,
    part: Part,
) {
    // What our span does not say, nobody else's `tracestate` should say in its name.
    if cx.span().span_context().is_valid() {
        clear_foreign(propagator, headers);
    }
    let without_baggage = part == Part::AllButBaggage;
    if without_baggage && !cx.baggage().is_empty() {
        propagator.inject_context(&cx.with_cleared_baggage(), &mut Written(headers));
    } else {
        propagator.inject_context(cx, &mut Written(headers));
    }
    if without_baggage {
        clear_foreign_baggage(propagator, headers);
    }
}

fn clear_foreign(propagator: &dyn TextMapPropagator, headers: &mut HeaderMap) {
    for format in known(propagator) {
        format.clear(headers);
    }
    for field in propagator.fields() {
        headers.remove(field);
    }
}

fn clear_foreign_baggage(propagator: &dyn TextMapPropagator, headers: &mut HeaderMap) {
    for format in known(propagator) {
        format.clear_baggage(headers);
    }
}

/// The formats that somebody else's propagator writes. What there is of a format is more than its
/// fields.
fn known(propagator: &dyn TextMapPropagator) -> impl Iterator<Item = Format> {
    let writes = |format: &Format| propagator.fields().any(|field| format.has_field(field));
    Format::ALL.into_iter().filter(writes)
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        self.for_each(|member| match member {
            One::Known(format) => format.inject(cx, &mut Injecting(injector), Part::All),
            One::Foreign(foreign) => foreign.inject_context(cx, injector),
        });
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        keep_random(self.0.members.iter().fold(cx.clone(), |cx, member| {
            let found = match member {
                Member::Known(format) => format.extract(&cx, &Extracting(extractor)),
                other => other.extract_foreign(&cx, extractor),
            };
            found.unwrap_or(cx)
        }))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.0.fields)
    }
}

impl fmt::Debug for Propagator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0.members).finish()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(format) => format.fmt(f),
            Self::Foreign(propagator) => propagator.fmt(f),
            Self::Global => f.write_str("global"),
        }
    }
}
