//! Google Cloud: Cloud Run and Cloud Functions.

use crate::sdk::resource::detect::{cloud::platform::on, kubernetes, system::System, value::Found};

/// From the [contract with containers][contract]. Region and project are in the metadata server
/// alone.
///
/// [contract]: https://cloud.google.com/run/docs/container-contract#env-vars
pub(super) fn find(system: &System<'_>) -> Option<Found> {
    if let Some(job) = system.variable("CLOUD_RUN_JOB") {
        let index = system.variable("CLOUD_RUN_TASK_INDEX");
        let index = index.and_then(|index| index.parse::<u32>().ok()).map(i64::from);
        return Some(
            on("gcp", "gcp_cloud_run")
                .text("faas.name", Some(job))
                .text("gcp.cloud_run.job.execution", system.variable("CLOUD_RUN_EXECUTION"))
                .number("gcp.cloud_run.job.task_index", index),
        );
    }
    let service = system.variable("K_SERVICE")?;
    // Knative, whose word it is, runs in any Kubernetes.
    if kubernetes::is_inside(system) {
        return None;
    }
    let platform = match system.variable("FUNCTION_TARGET") {
        Some(_) => "gcp_cloud_functions",
        None => "gcp_cloud_run",
    };
    Some(
        on("gcp", platform)
            .text("faas.name", Some(service))
            .text("faas.version", system.variable("K_REVISION")),
    )
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::cloud::platform::detect;
    use crate::sdk::resource::detect::system::tests::World;

    fn service() -> World {
        World::new().variable("K_SERVICE", "shop").variable("K_REVISION", "shop-00042-abc")
    }

    #[test]
    fn a_service_has_its_name_and_revision() {
        let expected = [
            "cloud.provider=gcp",
            "cloud.platform=gcp_cloud_run",
            "faas.name=shop",
            "faas.version=shop-00042-abc",
        ];
        assert_eq!(service().find(detect), expected);
    }

    #[test]
    fn a_function_is_a_service_with_a_target() {
        let found = service().variable("FUNCTION_TARGET", "handle").find(detect);
        assert_eq!(found[1..3], ["cloud.platform=gcp_cloud_functions", "faas.name=shop"]);
    }

    #[test]
    fn a_job_has_its_execution_and_its_number() {
        let world = World::new()
            .variable("CLOUD_RUN_JOB", "import")
            .variable("CLOUD_RUN_EXECUTION", "import-mdw84")
            .variable("CLOUD_RUN_TASK_INDEX", "3");
        let expected = [
            "cloud.provider=gcp",
            "cloud.platform=gcp_cloud_run",
            "faas.name=import",
            "gcp.cloud_run.job.execution=import-mdw84",
            "gcp.cloud_run.job.task_index=3",
        ];
        assert_eq!(world.find(detect), expected);
    }

    #[test]
    fn knative_in_a_cluster_is_no_cloud() {
        let world = service().variable("KUBERNETES_SERVICE_HOST", "10.96.0.1");
        assert_eq!(world.find(detect), [""; 0]);
    }
}
