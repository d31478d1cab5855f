//! Servers that refuse requests, and repeat them in many forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use depot_ground::traffic::Instead;
use http::Response;
use http::request::Parts;
use local_depot::{Code, Fault, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::scene::Scene;
use crate::place::with_place;

/// The request, header by header, with decoded Basic authentication: unchanged, in base64, and percent-encoded.
pub fn repeated(head: &Parts, body: &[u8]) -> String {
    let values = head
        .headers
        .values()
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut said: Vec<String> = values.map(Into::into).collect();
    said.push(String::from_utf8_lossy(body).into_owned());
    for header in said.clone() {
        let secret = match header.split_once(' ') {
            Some(("Basic", login)) => {
                let login = String::from_utf8(STANDARD.decode(login).unwrap()).unwrap();
                login.split_once(':').unwrap().1.to_owned()
            }
            Some(("Bearer", token)) => token.to_owned(),
            _ => continue,
        };
        said.push(utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string());
        said.push(STANDARD.encode(&secret));
        said.push(secret);
    }
    said.join(" | ")
}

fn answer(status: u16, media_type: &str, body: String) -> Response<Bytes> {
    let answer = Response::builder()
        .status(status)
        .header("content-type", media_type);
    answer.body(body.into()).unwrap()
}

/// An error for Connect, a realm and a registry in one.
pub fn refusal(status: u16, said: &str) -> Response<Bytes> {
    let error = serde_json::json!({
        "code": "permission_denied",
        "message": said,
        "errors": [{ "code": "DENIED", "message": said, "detail": said }],
    });
    answer(status, "application/json", error.to_string())
}

/// Like [`repeated`], at an offset where a limit on its length can cut a secret in two.
fn shifted(by: usize, head: &Parts, body: &[u8]) -> Response<Bytes> {
    let page = format!(
        "<html><body>{} {}</body></html>",
        "-".repeat(by),
        repeated(head, body)
    );
    answer(404, "text/html", page)
}

/// Responses of an API that refuses the token.
const API_REFUSES: Instead = Instead {
    applies_to: |_| true,
    answer: |head, body| refusal(403, &repeated(head, body)),
};

/// Responses of another server.
const NO_API: Instead = Instead {
    applies_to: |_| true,
    answer: |head, body| shifted(0, head, body),
};

/// A page whose cut is within the token.
const NO_API_EITHER: Instead = Instead {
    applies_to: |_| true,
    answer: |head, body| shifted(66, head, body),
};

/// A Depot that creates the build and then provides no machine.
const NO_MACHINE: Instead = Instead {
    applies_to: |head| head.uri.path().ends_with("GetBuildKitConnection"),
    answer: |head, body| refusal(403, &repeated(head, body)),
};

/// A realm that refuses every login, and a registry that refuses every token.
const NO_LOGIN: Instead = Instead {
    applies_to: |head| head.uri.path() == "/token" || head.headers.contains_key("authorization"),
    answer: |head, body| refusal(401, &repeated(head, body)),
};

/// A registry that accepts the login, and no image.
const NO_PUSH: Instead = Instead {
    applies_to: |head| {
        head.method != http::Method::GET
            && head.uri.path().starts_with("/v2/")
            && head.headers.contains_key("authorization")
    },
    answer: |head, body| refusal(403, &repeated(head, body)),
};

#[test]
fn a_token_that_depot_repeats_is_masked() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        for (instead, code) in [
            (API_REFUSES, 3),
            (NO_API, 4),
            (NO_API_EITHER, 4),
            (NO_MACHINE, 3),
        ] {
            let depot = place.depot(scene.scenario()).await;
            let run = scene.program_with(&depot, Some(instead)).await.run().await;
            run.expect(code, &[]);
            scene.allow_answers("api");
            scene.check(&run, &[("DEPOT_TOKEN", "api")]);
        }
        // Also in the local Depot's own messages.
        let token = scene.secret("DEPOT_TOKEN").to_owned();
        let fault = Fault::error(
            Code::Unauthenticated,
            format!("no account has the token {token}"),
        );
        let scenario = scene.scenario().always(Method::CreateBuild, fault);
        let depot = place.depot(scenario).await;
        let run = scene.program(&depot).await.run().await;
        run.expect(3, &["no account has the token ***"]);
        scene.check(&run, &[("DEPOT_TOKEN", "api")]);
    });
}

#[test]
fn a_password_that_a_registry_repeats_is_masked() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        for instead in [NO_LOGIN, NO_PUSH] {
            for (part, secret) in [("tokens", "REGISTRY_PASSWORD"), ("listed", "REGISTRIES")] {
                let mut scene = Scene::start_with(place, internet, Some(instead)).await;
                let depot = place.depot(scene.scenario()).await;
                let host = match part {
                    "tokens" => scene.tokens.host(),
                    _ => scene.listed.host(),
                };
                let program = scene.program(&depot).await;
                let run = program
                    .set("IMAGE", format!("{host}/app:1"))
                    .set("PUSH", "true")
                    .run()
                    .await;
                run.expect(5, &[&host]);
                scene.allow_answers(part);
                scene.check(&run, &[(secret, part), ("a machine's key", "api")]);
            }
        }
    });
}
