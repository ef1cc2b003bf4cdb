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
    fly::instance_id(system).or_else(|| azure::instance_id(system))
}

fn find(system: &System<'_>) -> Option<Found> {
    [aws::find, gcp::find, azure::find, fly::find].into_iter().find_map(|find| find(system))
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
    fn memory_is_told_in_bytes() {
        assert_eq!(mebibytes("128"), Some(134_217_728));
        assert_eq!(mebibytes("4294967295"), Some(4_503_599_626_321_920));
        for bad in ["", "-1", "1.5", "4294967296", "many"] {
            assert_eq!(mebibytes(bad), None, "{bad}");
        }
    }
}
