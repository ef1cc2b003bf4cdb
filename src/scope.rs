//! The instrumentation scope: under which name, version and schema the crate's spans are filed.

use std::sync::LazyLock;

use opentelemetry::InstrumentationScope;

/// The version of the semantic conventions that the crate's attribute names follow, as the
/// [schema URL] that every span's scope carries. The status of a gRPC call has the name that it was
/// [given after that version][renamed], [unless asked otherwise](crate::Grpc::with_legacy_names).
///
/// [renamed]: https://github.com/open-telemetry/semantic-conventions/pull/3921
/// [schema URL]: https://opentelemetry.io/docs/specs/otel/schemas/#schema-url
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The scope of every tracer this crate asks for.
pub(crate) fn scope() -> InstrumentationScope {
    // A scope without attributes clones without allocating.
    static SCOPE: LazyLock<InstrumentationScope> = LazyLock::new(|| {
        InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(SCHEMA_URL)
            .build()
    });
    SCOPE.clone()
}
