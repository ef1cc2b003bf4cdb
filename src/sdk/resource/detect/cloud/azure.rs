//! Microsoft Azure: Functions, Container Apps, App Service.

use crate::sdk::resource::detect::{
    cloud::platform::{mebibytes, on},
    system::System,
    value::Found,
};

pub(super) fn find(system: &System<'_>) -> Option<Found> {
    if is_functions(system) {
        return Some(functions(system));
    }
    if system.first_variable(&["CONTAINER_APP_NAME", "CONTAINER_APP_JOB_NAME"]).is_some() {
        return Some(container_apps(system));
    }
    system.variable("WEBSITE_SITE_NAME").map(|site| app_service(system, &site))
}

/// The id of the machine under a site.
pub(super) fn instance_id(system: &System<'_>) -> Option<String> {
    system.variable("WEBSITE_INSTANCE_ID")
}

/// Functions are sites, too. On a developer's machine there is a runtime and no site.
fn is_functions(system: &System<'_>) -> bool {
    let has = |name| system.variable(name).is_some();
    has("FUNCTIONS_EXTENSION_VERSION")
        || has("FUNCTIONS_WORKER_RUNTIME") && has("WEBSITE_SITE_NAME")
}

/// Several functions share an app, and so a resource: [name and id of one][faas] are for its spans.
///
/// [faas]: https://opentelemetry.io/docs/specs/semconv/resource/faas/
fn functions(system: &System<'_>) -> Found {
    let memory = system.variable("WEBSITE_MEMORY_LIMIT_MB");
    site(system, "azure.functions")
        .text("faas.instance", instance_id(system))
        .number("faas.max_memory", memory.as_deref().and_then(mebibytes))
}

fn app_service(system: &System<'_>, name: &str) -> Found {
    let group = system.variable("WEBSITE_RESOURCE_GROUP");
    let id = subscription(system).zip(group).map(|(subscription, group)| {
        format!(
            "/subscriptions/{subscription}/resourceGroups/{group}\
             /providers/Microsoft.Web/sites/{name}"
        )
    });
    // A slash in one of them would make it the id of something else.
    let id = id.filter(|id| id.matches('/').count() == 8);
    site(system, "azure.app_service").text("cloud.resource_id", id)
}

/// From the [variables of container apps][variables].
///
/// [variables]: https://learn.microsoft.com/azure/container-apps/environment-variables
fn container_apps(system: &System<'_>) -> Found {
    on("azure", "azure.container_apps")
        .text("azure.container_app.instance.id", system.variable("CONTAINER_APP_REPLICA_NAME"))
        .text("azure.container_app.revision.name", system.variable("CONTAINER_APP_REVISION"))
}

/// From the [variables of sites][variables].
///
/// [variables]: https://learn.microsoft.com/azure/app-service/reference-app-settings
fn site(system: &System<'_>, platform: &'static str) -> Found {
    on("azure", platform)
        .text("cloud.account.id", subscription(system))
        .text("cloud.region", system.variable("REGION_NAME"))
}

/// `subscription+region-webspace`
fn subscription(system: &System<'_>) -> Option<String> {
    let owner = system.variable("WEBSITE_OWNER_NAME")?;
    let (subscription, _) = owner.split_once('+')?;
    Some(subscription.to_owned()).filter(|subscription| !subscription.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::cloud::platform::detect;
    use crate::sdk::resource::detect::system::tests::World;

    const SUBSCRIPTION: &str = "c3a2b1d0-0000-4000-8000-123456789abc";

    fn site() -> World {
        World::new()
            .variable("WEBSITE_SITE_NAME", "shop")
            .variable("WEBSITE_RESOURCE_GROUP", "market")
            .variable("WEBSITE_OWNER_NAME", &format!("{SUBSCRIPTION}+market-WestEuropewebspace"))
            .variable("WEBSITE_INSTANCE_ID", "33bb")
            .variable("REGION_NAME", "West Europe")
    }

    #[test]
    fn app_service_has_the_sites_id() {
        let expected = [
            "cloud.provider=azure",
            "cloud.platform=azure.app_service",
            &format!("cloud.account.id={SUBSCRIPTION}"),
            "cloud.region=West Europe",
            &format!(
                "cloud.resource_id=/subscriptions/{SUBSCRIPTION}/resourceGroups/market\
                 /providers/Microsoft.Web/sites/shop"
            ),
        ];
        assert_eq!(site().find(detect), expected);
    }

    #[test]
    fn half_an_id_is_none() {
        let has_id = |world: World| {
            world.find(detect).iter().any(|found| found.starts_with("cloud.resource_id="))
        };
        assert!(has_id(site()));
        for (variable, value) in [
            ("WEBSITE_RESOURCE_GROUP", ""),
            ("WEBSITE_RESOURCE_GROUP", "a/b"),
            ("WEBSITE_OWNER_NAME", ""),
            ("WEBSITE_OWNER_NAME", SUBSCRIPTION),
            ("WEBSITE_OWNER_NAME", "+webspace"),
        ] {
            assert!(!has_id(site().variable(variable, value)), "{variable} {value}");
        }
    }

    #[test]
    fn functions_have_no_name_and_no_id_of_one() {
        let expected = [
            "cloud.provider=azure",
            "cloud.platform=azure.functions",
            &format!("cloud.account.id={SUBSCRIPTION}"),
            "cloud.region=West Europe",
            "faas.instance=33bb",
            "faas.max_memory=1610612736",
        ];
        for variable in ["FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_WORKER_RUNTIME"] {
            let world = site().variable(variable, "x").variable("WEBSITE_MEMORY_LIMIT_MB", "1536");
            assert_eq!(world.find(detect), expected);
        }
        assert_eq!(World::new().variable("FUNCTIONS_WORKER_RUNTIME", "x").find(detect), [""; 0]);
        let bare = World::new().variable("FUNCTIONS_EXTENSION_VERSION", "~4");
        assert_eq!(bare.find(detect), expected[..2]);
    }

    #[test]
    fn container_apps_have_replica_and_revision_and_their_jobs_neither() {
        let expected = [
            "cloud.provider=azure",
            "cloud.platform=azure.container_apps",
            "azure.container_app.instance.id=shop--20mh1s9-86c8c4b497-zx9bq",
            "azure.container_app.revision.name=shop--20mh1s9",
        ];
        let world = World::new()
            .variable("CONTAINER_APP_NAME", "shop")
            .variable("CONTAINER_APP_REVISION", "shop--20mh1s9")
            .variable("CONTAINER_APP_REPLICA_NAME", "shop--20mh1s9-86c8c4b497-zx9bq");
        assert_eq!(world.find(detect), expected);
        let job = World::new().variable("CONTAINER_APP_JOB_NAME", "import");
        assert_eq!(job.find(detect), expected[..2]);
    }
}
