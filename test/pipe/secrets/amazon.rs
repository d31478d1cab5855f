//! Amazon's keys: they sign requests, and are never sent.

use bytes::Bytes;
use depot_ground::aws::{ACCOUNT, Moto};
use depot_ground::engine::state_folder;
use depot_ground::registry::{Login, Registry};
use depot_ground::traffic::{HttpDoor, Instead};

use super::refusals::{refusal, repeated};
use super::scene::Scene;
use crate::place::with_place;
use crate::program::Program;

/// A region without registries of other tests.
const HOST: &str = "123456789012.dkr.ecr.ap-south-1.amazonaws.com";

const REFUSES: Instead = Instead {
    applies_to: |_| true,
    answer: |head, body: &[u8]| -> http::Response<Bytes> {
        let said = repeated(head, body);
        refusal(403, &format!("{} {said}", "no ".repeat(80)))
    },
};

/// The program with only the variables of this way to authenticate.
fn with_identity(program: Program, way: &str) -> Program {
    let unset = |program: Program, names: &[&str]| {
        names
            .iter()
            .fold(program, |program, name| program.unset(name))
    };
    match way {
        "role" => program.set(
            "AWS_OIDC_ROLE_ARN",
            format!("arn:aws:iam::{ACCOUNT}:role/pipelines"),
        ),
        "container" => unset(
            program,
            &[
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            ],
        ),
        _ => program,
    }
}

#[test]
fn amazons_keys_are_never_sent_and_its_tokens_only_to_amazon() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let Some(moto) = Moto::for_tests(&state_folder()).await.unwrap() else {
            return;
        };
        let login = Login::of("AWS", &format!("{ACCOUNT}-auth-token"));
        let registry = Registry::start_for(&state_folder(), login).await.unwrap();
        for way in ["keys", "role", "container", "refused"] {
            let mut scene = Scene::start(place, internet).await;
            let instead = (way == "refused").then_some(REFUSES);
            let aws = HttpDoor::open(&scene.traffic, "aws", instead)
                .await
                .unwrap();
            let server = moto.endpoint();
            let server = server.trim_start_matches("http://").trim_end_matches('/');
            let aws = aws.to(server);
            let amazon = HttpDoor::open(&scene.traffic, "amazon", None)
                .await
                .unwrap();
            let amazon = amazon.to(&registry.host());
            for internet in [internet, &scene.internet] {
                internet.route(HOST, &amazon.host());
            }
            let depot = place.depot(scene.scenario()).await;
            let program = scene.program(&depot).await;
            let program = program
                .set("IMAGE", format!("{HOST}/team/app:1"))
                .set("PUSH", "true")
                .set("ECR_CREATE_REPOSITORY", "true")
                .set("AWS_ENDPOINT_URL", format!("http://{}/", aws.host()));
            let run = with_identity(program, way).run().await;
            let proof = match way {
                "role" => ("BITBUCKET_STEP_OIDC_TOKEN", "aws"),
                "container" => ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container"),
                _ => ("AWS_SESSION_TOKEN", "aws"),
            };
            scene.allow_answers("aws");
            if way == "refused" {
                run.expect(5, &["GetAuthorizationToken"]);
                scene.check(&run, &[proof]);
                continue;
            }
            run.expect(0, &["built and pushed"]);
            let name = "the login of Amazon's registry";
            scene.check(&run, &[proof, (name, "amazon"), (name, "builder")]);
        }
        moto.stop().await.unwrap();
    });
}

#[test]
fn keys_reach_a_builder_only_for_a_cache_in_s3_that_has_none() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        for name in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            scene.allow_in_builder(name);
        }
        let depot = place.depot(scene.scenario()).await;
        let program = scene.program(&depot).await;
        // The builder of the tests reads no such cache, which does not fail the build.
        let program = program.set("CACHE_FROM", "type=s3,bucket=b,region=eu-west-1");
        let run = program.run().await;
        run.expect(0, &["built"]);
        scene.check(
            &run,
            &[
                ("AWS_SECRET_ACCESS_KEY", "builder"),
                ("AWS_SESSION_TOKEN", "builder"),
            ],
        );
    });
}
