//! Fly.

use crate::sdk::resource::detect::{cloud::platform::on, system::System, value::Found};

/// From the [variables of machines][variables]. The conventions have no words for this provider.
///
/// [variables]: https://fly.io/docs/machines/runtime-environment/
pub(super) fn find(system: &System<'_>) -> Option<Found> {
    let app = system.variable("FLY_APP_NAME")?;
    // The app's name alone may be set for the tool that deploys it.
    instance_id(system)?;
    Some(
        on("fly_io", "fly_io.machines")
            .text("cloud.region", system.variable("FLY_REGION"))
            .text("fly.app.name", Some(app)),
    )
}

pub(super) fn instance_id(system: &System<'_>) -> Option<String> {
    system.first_variable(&["FLY_MACHINE_ID", "FLY_ALLOC_ID"])
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::cloud::platform::detect;
    use crate::sdk::resource::detect::system::tests::World;

    #[test]
    fn a_machine_has_its_app_and_region() {
        for variable in ["FLY_MACHINE_ID", "FLY_ALLOC_ID"] {
            let world = World::new()
                .variable("FLY_APP_NAME", "shop")
                .variable("FLY_REGION", "ams")
                .variable(variable, "148e21ea7e4689");
            let expected = [
                "cloud.provider=fly_io",
                "cloud.platform=fly_io.machines",
                "cloud.region=ams",
                "fly.app.name=shop",
            ];
            assert_eq!(world.find(detect), expected);
        }
    }

    #[test]
    fn an_apps_name_alone_is_no_machine() {
        let world = World::new().variable("FLY_APP_NAME", "shop").variable("FLY_REGION", "ams");
        assert_eq!(world.find(detect), [""; 0]);
    }
}
