//! Amazon's registries by their real names. The logins come from a real moto, the images are in real registries.

use std::time::Duration;

use depot_ground::aws::{ACCOUNT, Moto};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::internet::Internet;
use depot_ground::registry::{Login, Registry};
use local_depot::{MachinePlan, Scenario};

use super::on_internet::program;
use super::place::{Place, small_context, with_place};
use super::program::Program;

#[test]
fn amazons_registries_accept_logins_from_keys_and_from_the_steps_identity() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let Some(moto) = Moto::for_tests(&state_folder()).await.unwrap() else {
            return;
        };
        let account = ACCOUNT;
        let login = || Login::of("AWS", &format!("{account}-auth-token"));
        let hosts = ["eu-central-1", "us-west-2"]
            .map(|region| format!("{account}.dkr.ecr.{region}.amazonaws.com"));
        let mut registries = Vec::new();
        for host in &hosts {
            let registry = Registry::start_for(&state_folder(), login()).await.unwrap();
            internet.route(host, &registry.host());
            registries.push(registry);
        }
        let identity = "header.hunter2-identity.signature";
        for by_role in [false, true] {
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let names = format!("{}/team/app:1 {}/team/app:1", hosts[0], hosts[1]);
            let platforms = if by_role {
                "linux/amd64,linux/arm64"
            } else {
                "linux/amd64"
            };
            let program = program(&depot, internet, context.path())
                .set("IMAGE", names)
                .set("PLATFORMS", platforms)
                .set("AWS_ENDPOINT_URL", moto.endpoint())
                .set("ECR_CREATE_REPOSITORY", "true");
            let program = if by_role {
                let role = format!("arn:aws:iam::{account}:role/pipelines");
                program
                    .set("AWS_OIDC_ROLE_ARN", role)
                    .set("BITBUCKET_STEP_OIDC_TOKEN", identity)
            } else {
                with_keys(program)
            };
            let run = program.run().await;
            run.expect(0, &["built and pushed one image as 2 references"])
                .without("hunter2")
                .without(&format!("{account}-auth-token"));
            if !by_role {
                run.expect(0, &["created the repository `team/app`"]);
            }
            for registry in &registries {
                assert_eq!(registry.tags("team/app").await.unwrap(), ["1"]);
            }
        }
        for region in ["eu-central-1", "us-west-2"] {
            assert_eq!(moto.repositories(region).await.unwrap(), ["team/app"]);
        }
        base_images_are_pulled_with_a_login(place, internet, &moto, &hosts).await;
        only_named_hosts_get_a_login(place, internet, &moto, &hosts).await;
        rejected_keys_end_the_build_at_once(place, internet, &moto, &hosts).await;
        moto.stop().await.unwrap();
    });
}

fn with_keys(program: Program) -> Program {
    program
        .set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .set("AWS_SECRET_ACCESS_KEY", "hunter2/secret+access+key")
}

/// A base image from a registry to which nothing is pushed.
async fn base_images_are_pulled_with_a_login(
    place: &Place,
    internet: &Internet,
    moto: &Moto,
    hosts: &[String; 2],
) {
    let depot = place.depot(Scenario::default()).await;
    let dockerfile = format!("FROM {}/team/app:1\nCOPY file /again\n", hosts[0]);
    let context = Context::new(&dockerfile).unwrap();
    context.file("file", "content\n").unwrap();
    let run = with_keys(program(&depot, internet, context.path()))
        .set("PUSH", "false")
        .set("AWS_ENDPOINT_URL", moto.endpoint())
        .run()
        .await;
    run.expect(0, &["FROM 123456789012.dkr.ecr", "COPY file /again"])
        .without("hunter2");
}

/// The build ends before a machine is available.
async fn rejected_keys_end_the_build_at_once(
    place: &Place,
    internet: &Internet,
    moto: &Moto,
    hosts: &[String; 2],
) {
    moto.check_signatures().await.unwrap();
    let slow = MachinePlan::default().pending(10_000, Duration::from_millis(100));
    let depot = place.depot(Scenario::default().machines(slow)).await;
    let context = small_context();
    let run = with_keys(program(&depot, internet, context.path()))
        .set("IMAGE", format!("{}/team/app:2", hosts[0]))
        .set("AWS_ENDPOINT_URL", moto.endpoint())
        .run()
        .await;
    run.expect(
        5,
        &[
            "AWS rejected GetAuthorizationToken",
            "hint: AWS rejected the credentials: check that AWS_ACCESS_KEY_ID",
        ],
    )
    .without("COPY file")
    .without("hunter2");
}

/// Base images whose host is composed of arguments, and whose host is in no text of the build.
async fn only_named_hosts_get_a_login(
    place: &Place,
    internet: &Internet,
    moto: &Moto,
    hosts: &[String; 2],
) {
    let composed = "ARG ACCOUNT\nARG REGION=eu-central-1\n\
                    FROM ${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com/team/app:1\n";
    let hidden = "ARG HOST\nFROM ${HOST#hidden-}/team/nowhere:1\n";
    for (lines, arguments, code, text) in [
        (composed, format!("ACCOUNT={ACCOUNT}"), 0, "COPY file /new"),
        (
            hidden,
            format!("HOST=hidden-{}", hosts[1]),
            5,
            "only for hosts that the build names",
        ),
    ] {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new(&format!("{lines}COPY file /new\n")).unwrap();
        context.file("file", "content\n").unwrap();
        let run = with_keys(program(&depot, internet, context.path()))
            .set("PUSH", "false")
            .set("NO_CACHE", "true")
            .set("BUILD_ARGS", arguments)
            .set("AWS_ENDPOINT_URL", moto.endpoint())
            .run()
            .await;
        let host = &hosts[usize::from(code != 0)];
        run.expect(code, &[text, host]).without("hunter2");
    }
}

#[test]
fn a_role_without_the_steps_identity_is_reported_before_the_build_starts() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set(
                "AWS_OIDC_ROLE_ARN",
                "arn:aws:iam::123456789012:role/pipelines",
            )
            .set(
                "IMAGE",
                format!("{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/app"),
            )
            .set("PUSH", "true")
            .run()
            .await;
        run.expect(2, &["AWS_OIDC_ROLE_ARN", "`oidc: true`", "hint: "]);
        assert!(depot.record().calls.is_empty());
    });
}
