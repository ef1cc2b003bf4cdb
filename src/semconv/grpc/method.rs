//! The method's name, as it is in a call's path.

/// The longest name that is believed to be one.
const LONGEST: usize = 256;

/// The paths of the services that are there for those who run a server: [health] and [reflection].
///
/// [health]: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
/// [reflection]: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
pub(crate) const HEALTH_AND_REFLECTION: [&str; 5] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The fully qualified method that a [path] names, `shop.v1.Inventory/Get`, if it has the form of
/// one. What is before the service is where a router has mounted it.
///
/// [path]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
pub(crate) fn of_path(path: &str) -> Option<&str> {
    let (before, method) = path.rsplit_once('/')?;
    let (_, service) = before.rsplit_once('/')?;
    let name = &path[path.len() - service.len() - "/".len() - method.len()..];
    (is_service(service) && is_identifier(method) && name.len() <= LONGEST).then_some(name)
}

/// The service of a fully qualified method.
pub(crate) fn service(method: &str) -> &str {
    method.split_once('/').map_or(method, |(service, _)| service)
}

/// Whether it is a name in the sense of [proto]: identifiers with dots in between.
///
/// [proto]: https://protobuf.dev/reference/protobuf/proto3-spec/#identifiers
pub(crate) fn is_service(name: &str) -> bool {
    name.split('.').all(is_identifier)
}

/// A dash is none of proto's characters, but gRPC does without proto, too. A number is none to
/// anybody.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_method_or_does_not_look_like_it() {
        for (path, method) in [
            ("/shop.v1.Inventory/Get", Some("shop.v1.Inventory/Get")),
            ("/Inventory/get_it", Some("Inventory/get_it")),
            ("/my-service/do-it", Some("my-service/do-it")),
            ("/api/v1/shop.Inventory/Get", Some("shop.Inventory/Get")),
            ("/../shop.Inventory/Get", Some("shop.Inventory/Get")),
            ("", None),
            ("/", None),
            ("//", None),
            ("*", None),
            ("/Get", None),
            ("Inventory/Get", None),
            ("/shop.Inventory/", None),
            ("//Get", None),
            ("/shop..Inventory/Get", None),
            ("/.Inventory/Get", None),
            ("/shop.Inventory./Get", None),
            ("/shop.Inventory/Get.It", None),
            ("/shop.Inventory/G%65t", None),
            ("/shop.Inventory/Get it", None),
            ("/shop.Inventory/Gét", None),
            ("/items/42/", None),
            ("/items/42", None),
            ("/items/-a", None),
            ("/42.Items/Get", None),
            ("/_items/_get", Some("_items/_get")),
        ] {
            assert_eq!(of_path(path), method, "{path:?}");
        }
    }

    #[test]
    fn a_name_has_an_end() {
        let longest = format!("/s/{}", "m".repeat(LONGEST - 2));
        assert_eq!(of_path(&longest), Some(&longest[1..]));
        assert_eq!(of_path(&format!("{longest}m")), None);
        assert_eq!(of_path(&"/a".repeat(100_000)), Some("a/a"));
    }
}
