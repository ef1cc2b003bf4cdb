//! What every service of the crate has, the way to the one inside; and what only a macro can know.

macro_rules! inner_accessors {
    () => {
        /// The service inside.
        #[must_use]
        pub fn get_ref(&self) -> &S {
            &self.inner
        }

        /// The service inside, to be changed.
        #[must_use]
        pub fn get_mut(&mut self) -> &mut S {
            &mut self.inner
        }

        /// The service inside, without this one around it.
        #[must_use]
        pub fn into_inner(self) -> S {
            self.inner
        }
    };
}

/// A [`ResourceBuilder`] with name and version of the package that calls it.
///
/// They are the `CARGO_PKG_NAME` and `CARGO_PKG_VERSION` of the crate that the call is in, yours,
/// and become `service.name` and `service.version` where nobody else has said them: see
/// [`ResourceBuilder::with_package`]. A crate that several programs share should leave it to them.
///
/// ```
/// use tower_telemetry::{Telemetry, package_resource};
///
/// let telemetry = Telemetry::builder().with_resource(package_resource!()).build()?;
/// let of = |key: &'static str| telemetry.resource().get(&key.into()).unwrap().to_string();
/// assert_eq!(of("service.name"), env!("CARGO_PKG_NAME"));
/// assert_eq!(of("service.version"), env!("CARGO_PKG_VERSION"));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// [`ResourceBuilder`]: crate::ResourceBuilder
/// [`ResourceBuilder::with_package`]: crate::ResourceBuilder::with_package
#[cfg(feature = "sdk")]
#[macro_export]
macro_rules! package_resource {
    () => {
        $crate::ResourceBuilder::new()
            .with_package(::core::env!("CARGO_PKG_NAME"), ::core::env!("CARGO_PKG_VERSION"))
    };
}
