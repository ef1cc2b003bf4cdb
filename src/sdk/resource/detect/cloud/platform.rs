//! Which cloud it is. A process is in one at most.

use opentelemetry::KeyValue;

use crate::sdk::resource::detect::{
    cloud::{aws, azure, fly, gcp},
    system::System,
    value::Found,
};

pub(crate) fn detect(system: &System<'_>) -> Vec<KeyValue> {
    find(system).map(Found::into_attributes).unwrap_or_default()
}

/// Whether it is any of them.
pub(crate) fn is_one(system: &System<'_>) -> bool {
    find(system).is_some()
}

/// The id of the machine, where the provider tells.
pub(crate) fn instance_id(system: &System<'_>) -> Option<String> {
    let (_, instance_id) = one(system)?;
    instance_id(system)
}

fn find(system: &System<'_>) -> Option<Found> {
    one(system).map(|(found, _)| found)
}

type InstanceId = fn(&System<'_>) -> Option<String>;

/// The first that shows itself, and where it tells the machine's id.
fn one(system: &System<'_>) -> Option<(Found, InstanceId)> {
    let none: InstanceId = |_| None;
    aws::find(system)
        .map(|found| (found, none))
        .or_else(|| gcp::find(system).map(|found| (found, none)))
        .or_else(|| azure::find(system).map(|found| (found, azure::instance_id as InstanceId)))
        .or_else(|| fly::find(system).map(|found| (found, fly::instance_id as InstanceId)))
}

/// The two attributes that every platform has.
pub(super) fn on(provider: &'static str, platform: &'static str) -> Found {
    Found::default().text("cloud.provider", Some(provider)).text("cloud.platform", Some(platform))
}

/// So many MiB, in bytes.
pub(super) fn mebibytes(number: &str) -> Option<i64> {
    number.parse::<u32>().ok().map(|mebibytes| i64::from(mebibytes) << 20)
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::system::tests::World;

    use super::*;

    #[test]
    fn outside_of_clouds_nothing_is_found() {
        let world = World::new().variable("AWS_REGION", "eu-west-1").variable("FLY_REGION", "ams");
        assert_eq!(world.find(detect), [""; 0]);
    }

    #[test]
    fn of_two_that_show_themselves_the_first_counts_also_for_the_machine() {
        let world = || {
            World::new().variable("WEBSITE_SITE_NAME", "a").variable("WEBSITE_INSTANCE_ID", "33bb")
        };
        let provider = |world: World| world.find(detect).remove(0);
        let host = |world: World| world.find(crate::sdk::resource::detect::host::detect).remove(0);
        let fly = world().variable("FLY_APP_NAME", "a").variable("FLY_MACHINE_ID", "148e");
        assert_eq!(provider(fly), "cloud.provider=azure");
        let fly = world().variable("FLY_APP_NAME", "a").variable("FLY_MACHINE_ID", "148e");
        assert_eq!(host(fly), "host.id=33bb");
        let lambda = world()
            .variable("AWS_LAMBDA_FUNCTION_NAME", "a")
            .variable("AWS_EXECUTION_ENV", "AWS_Lambda_rust");
        assert!(!host(lambda).starts_with("host.id="));
    }

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(mebibytes("128"), Some(134_217_728));
        assert_eq!(mebibytes("4294967295"), Some(4_503_599_626_321_920));
        for bad in ["", "-1", "1.5", "4294967296", "many"] {
            assert_eq!(mebibytes(bad), None, "{bad}");
        }
    }
}
