//! The methods that are recorded by their names.

use std::{collections::HashSet, fmt};

use crate::{error::BuildError, semconv::grpc::method};

/// A list of gRPC methods, those that are recorded by their names.
///
/// On a server every caller chooses what it asks for, and so what spans are called. With a list,
/// [`rpc.method`][method] is the method's name if the list has it; otherwise it is `_OTHER`, the
/// span is called `grpc`, and `rpc.method_original` has what was asked for. A list can be made of
/// the names of services, which tonic's generated servers have, of single methods, and, with the
/// feature `grpc-descriptors`, of descriptor sets.
///
/// ```
/// use http::Request;
/// use opentelemetry::KeyValue;
/// use tower_telemetry::{Grpc, GrpcMethods, TraceLayer};
#[doc = include_str!("../../server/span_of.md")]
///
/// // With tonic: `InventoryServer::<Inventory>::NAME`, of `tonic::server::NamedService`.
/// const NAME: &str = "shop.v1.Inventory";
///
/// let methods = GrpcMethods::new([NAME, "shop.v1.Orders/Place"])?;
/// let layer = TraceLayer::new().with_grpc(Grpc::new().with_methods(methods));
/// let call = |path| {
///     Request::post(path).header("content-type", "application/grpc").body(String::new())
/// };
///
/// let span = span_of(layer.clone(), call("/shop.v1.Inventory/Get")?);
/// assert_eq!(span.name, "shop.v1.Inventory/Get");
///
/// let span = span_of(layer, call("/shop.v1.Orders/PlaceTwice")?);
/// assert_eq!(span.name, "grpc");
/// assert!(span.attributes.contains(&KeyValue::new("rpc.method", "_OTHER")));
/// assert!(
///     span.attributes.contains(&KeyValue::new("rpc.method_original", "shop.v1.Orders/PlaceTwice"))
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [method]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/rpc/
#[must_use]
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GrpcMethods {
    services: HashSet<String>,
    methods: HashSet<String>,
}

impl GrpcMethods {
    /// Each name is that of a service, `shop.v1.Inventory`, or that of a method,
    /// `shop.v1.Inventory/Get`. A list without a name knows none.
    ///
    /// The name of a service lets through every method that a caller says it has. Where strangers
    /// call, list the methods, or use a descriptor set.
    ///
    /// ```
    /// use tower_telemetry::GrpcMethods;
    ///
    /// let error = GrpcMethods::new(["/shop.v1.Inventory/Get"]).unwrap_err();
    /// assert_eq!(error.setting(), "gRPC method");
    /// assert_eq!(error.value(), "/shop.v1.Inventory/Get");
    /// ```
    ///
    /// # Errors
    ///
    /// If a name is neither.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, BuildError> {
        let mut known = Self::default();
        for name in names {
            known.add(name.as_ref())?;
        }
        Ok(known)
    }

    /// Adds the methods of all services in a descriptor set: what `protoc` writes with
    /// `--descriptor_set_out`, and tonic's `include_file_descriptor_set!` includes.
    ///
    /// ```
    /// use prost::Message;
    /// use prost_types::{
    ///     FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
    /// };
    /// use tower_telemetry::GrpcMethods;
    ///
    /// // As a build script would have written it.
    /// let get = MethodDescriptorProto { name: Some("Get".into()), ..Default::default() };
    /// let inventory = ServiceDescriptorProto {
    ///     name: Some("Inventory".into()),
    ///     method: vec![get],
    ///     ..Default::default()
    /// };
    /// let file = FileDescriptorProto {
    ///     package: Some("shop.v1".into()),
    ///     service: vec![inventory],
    ///     ..Default::default()
    /// };
    /// let descriptors = FileDescriptorSet { file: vec![file] }.encode_to_vec();
    ///
    /// let methods = GrpcMethods::default().with_descriptors(&descriptors)?;
    /// assert_eq!(methods, GrpcMethods::new(["shop.v1.Inventory/Get"])?);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If that is no descriptor set, or none of its files has a service with a method.
    #[cfg(feature = "grpc-descriptors")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc-descriptors")))]
    pub fn with_descriptors(mut self, descriptors: &[u8]) -> Result<Self, BuildError> {
        use prost::Message;

        let size = format!("{} bytes", descriptors.len());
        let set = prost_types::FileDescriptorSet::decode(descriptors).map_err(|error| {
            let reason = "must be an encoded `FileDescriptorSet`";
            BuildError::new("gRPC descriptor set", &size, reason).caused_by(error)
        })?;
        let mut found = false;
        for file in &set.file {
            for service in &file.service {
                let service_name = match file.package() {
                    "" => service.name().to_owned(),
                    package => format!("{package}.{}", service.name()),
                };
                for method in &service.method {
                    self.add(&format!("{service_name}/{}", method.name()))?;
                    found = true;
                }
            }
        }
        if found {
            Ok(self)
        } else {
            let reason = "must have a service with a method";
            Err(BuildError::new("gRPC descriptor set", &size, reason))
        }
    }

    fn add(&mut self, name: &str) -> Result<(), BuildError> {
        if method::is_service(name) {
            self.services.insert(name.to_owned());
        } else if method::of_path(&format!("/{name}")) == Some(name) {
            self.methods.insert(name.to_owned());
        } else {
            let reason = "must be a service, such as `shop.v1.Inventory`, or a method, such as `shop.v1.Inventory/Get`";
            return Err(BuildError::new("gRPC method", name, reason));
        }
        Ok(())
    }

    /// Whether this is on the list.
    /// Whether the method itself is listed, which is more than its service.
    pub(super) fn names(&self, method: &str) -> bool {
        self.methods.contains(method)
    }

    pub(super) fn has(&self, method: &str) -> bool {
        self.names(method) || self.services.contains(method::service(method))
    }
}

impl fmt::Debug for GrpcMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.services.iter().chain(&self.methods).collect();
        names.sort();
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_methods_and_all_there_is_of_services() {
        let methods = GrpcMethods::new(["a.B", "a.C/D", "a.B", "a.C/D", "E"]).unwrap();
        for (method, known) in [
            ("a.B/Any", true),
            ("a.C/D", true),
            ("E/F", true),
            ("a.C/E", false),
            ("a.C/d", false),
            ("a.c/D", false),
            ("a.BB/Any", false),
            ("b.B/Any", false),
        ] {
            assert_eq!(methods.has(method), known, "{method}");
        }
        assert!(!GrpcMethods::default().has("a.B/C"));
        assert_eq!(format!("{methods:?}"), r#"["E", "a.B", "a.C/D"]"#);
    }

    #[test]
    fn what_could_be_no_name_is_an_error() {
        for name in ["", "/", "a.B/", "/a.B", "/a.B/C", "a.B/C/D", "a B", "a..B", "a.B/*", "*"] {
            let error = GrpcMethods::new(["a.B", name]).unwrap_err();
            assert_eq!((error.setting(), error.value()), ("gRPC method", name));
            assert!(error.to_string().contains("`shop.v1.Inventory/Get`"), "{error}");
        }
    }

    #[cfg(feature = "grpc-descriptors")]
    #[test]
    fn what_is_no_descriptor_set_is_an_error() {
        let error = GrpcMethods::default().with_descriptors(b"\xff").unwrap_err();
        assert_eq!((error.setting(), error.value()), ("gRPC descriptor set", "1 bytes"));
        assert!(std::error::Error::source(&error).is_some());
        let error = GrpcMethods::default().with_descriptors(b"").unwrap_err();
        assert!(error.to_string().ends_with("must have a service with a method"), "{error}");
    }
}
