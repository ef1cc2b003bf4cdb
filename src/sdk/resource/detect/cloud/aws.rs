//! Amazon Web Services: Lambda, ECS.

use crate::sdk::resource::detect::{
    cloud::platform::{mebibytes, on},
    system::System,
    value::Found,
};

pub(super) fn find(system: &System<'_>) -> Option<Found> {
    if let Some(name) = system.variable("AWS_LAMBDA_FUNCTION_NAME") {
        return Some(lambda(system, name));
    }
    system
        .first_variable(&["ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_URI"])
        .map(|_| ecs(system))
}

/// From the [variables of the runtime][variables], as the [conventions] want them.
///
/// [variables]: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
/// [conventions]: https://opentelemetry.io/docs/specs/semconv/resource/faas/
fn lambda(system: &System<'_>, name: String) -> Found {
    let memory = system.variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
    let stream = system.variable("AWS_LAMBDA_LOG_STREAM_NAME");
    on("aws", "aws_lambda")
        .text("cloud.region", system.variable("AWS_REGION"))
        .text("faas.name", Some(name))
        .text("faas.version", system.variable("AWS_LAMBDA_FUNCTION_VERSION"))
        .text("faas.instance", stream.clone())
        .number("faas.max_memory", memory.as_deref().and_then(mebibytes))
        .list("aws.log.group.names", system.variable("AWS_LAMBDA_LOG_GROUP_NAME"))
        .list("aws.log.stream.names", stream)
}

/// All else about a task is in its metadata, which has to be asked over the network.
fn ecs(system: &System<'_>) -> Found {
    let launch_type = match system.variable("AWS_EXECUTION_ENV").as_deref() {
        Some("AWS_ECS_FARGATE") => Some("fargate"),
        Some("AWS_ECS_EC2") => Some("ec2"),
        _ => None,
    };
    on("aws", "aws_ecs")
        .text("cloud.region", system.variable("AWS_REGION"))
        .text("aws.ecs.launchtype", launch_type)
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::cloud::platform::detect;
    use crate::sdk::resource::detect::system::tests::World;

    #[test]
    fn lambda_has_function_instance_and_logs() {
        let stream = "2021/06/28/[$LATEST]2f399eb14537447da05ab2a2e39309de";
        let world = World::new()
            .variable("AWS_LAMBDA_FUNCTION_NAME", "shop")
            .variable("AWS_LAMBDA_FUNCTION_VERSION", "26")
            .variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .variable("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/shop")
            .variable("AWS_LAMBDA_LOG_STREAM_NAME", stream)
            .variable("AWS_REGION", "eu-central-1");
        let expected = [
            "cloud.provider=aws",
            "cloud.platform=aws_lambda",
            "cloud.region=eu-central-1",
            "faas.name=shop",
            "faas.version=26",
            &format!("faas.instance={stream}"),
            "faas.max_memory=134217728",
            "aws.log.group.names=[\"/aws/lambda/shop\"]",
            &format!("aws.log.stream.names=[\"{stream}\"]"),
        ];
        assert_eq!(world.find(detect), expected);

        let world = World::new()
            .variable("AWS_LAMBDA_FUNCTION_NAME", "shop")
            .variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "lots");
        let expected = ["cloud.provider=aws", "cloud.platform=aws_lambda", "faas.name=shop"];
        assert_eq!(world.find(detect), expected);
    }

    #[test]
    fn ecs_is_known_by_where_its_metadata_would_be() {
        for variable in ["ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_URI"] {
            for (environment, launch_type) in
                [("AWS_ECS_FARGATE", "fargate"), ("AWS_ECS_EC2", "ec2")]
            {
                let world = World::new()
                    .variable(variable, "http://169.254.170.2/v4/abc")
                    .variable("AWS_EXECUTION_ENV", environment)
                    .variable("AWS_REGION", "eu-central-1");
                let expected = [
                    "cloud.provider=aws",
                    "cloud.platform=aws_ecs",
                    "cloud.region=eu-central-1",
                    &format!("aws.ecs.launchtype={launch_type}"),
                ];
                assert_eq!(world.find(detect), expected);
            }
            let bare = World::new().variable(variable, "http://169.254.170.2/v4/abc");
            let bare = bare.variable("AWS_EXECUTION_ENV", "AWS_ECS_EXTERNAL").find(detect);
            assert_eq!(bare, ["cloud.provider=aws", "cloud.platform=aws_ecs"]);
        }
    }
}
