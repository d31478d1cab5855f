//! A registry with tokens: the pipe requests them, and sends a password to no other host.

use std::time::Duration;

use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::internet::{Planned, RegistryFault};
use depot_ground::registry::Login;
use depot_ground::registry::tokens::{
    Authorization, PasswordSeen, Realm, TokenAnswer, TokenPlan, TokenRecord, TokenRegistry,
};
use local_depot::{BuildState, LocalDepot, Scenario};

use http::Method;

use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

/// A registry for one test, because builders cache information about a registry.
async fn registry(plan: TokenPlan) -> TokenRegistry {
    TokenRegistry::start(&state_folder(), plan).await.unwrap()
}

/// The program with these credentials for this registry.
fn login(program: Program, registry: &TokenRegistry, user: &Login) -> Program {
    program
        .set("REGISTRY", registry.host())
        .set("REGISTRY_USERNAME", user.username())
        .set("REGISTRY_PASSWORD", user.password())
}

/// Pushes a small image there as `user`, with the debug log.
async fn push(depot: &LocalDepot, registry: &TokenRegistry, user: &Login, repository: &str) -> Run {
    let context = small_context();
    let program = Program::of(depot, context.path())
        .set("IMAGE", format!("{}/{repository}:test", registry.host()))
        .set("PUSH", "true")
        .set("DEBUG", "true");
    login(program, registry, user).run().await
}

/// The error of the only build, as reported to Depot.
#[track_caller]
fn reported_error(depot: &LocalDepot) -> String {
    let record = depot.record();
    let BuildState::Failed(error) = &record.last_build().unwrap().state else {
        panic!("{record:#?}");
    };
    error.clone()
}

/// In every test, the builder uses tokens or no authentication, only the pipe sends passwords, and no request is
/// unexpected.
#[track_caller]
fn only_tokens(record: &TokenRecord) {
    assert_eq!(record.unforeseen, Vec::<String>::new(), "{record:#?}");
    for request in &record.registry_requests {
        assert!(
            matches!(
                request.authorization,
                Authorization::Absent | Authorization::Bearer
            ),
            "{request:?}"
        );
    }
    for request in &record.token_requests {
        // A builder has another name in a form, and omits the account in a query.
        let of_pipe = request.field("client_id") == Some("depot-build")
            || request.user.is_some() && request.field("account") == request.user.as_deref();
        let password = request.password != PasswordSeen::Absent;
        assert!(of_pipe || !password, "{request:?}");
    }
}

/// The methods of the token requests, and their passwords.
fn token_requests(record: &TokenRecord) -> Vec<(&str, PasswordSeen)> {
    let requests = record.token_requests.iter();
    requests
        .map(|request| (request.method.as_str(), request.password))
        .collect()
}

/// Whether such a request with a token was sent.
fn has_request(record: &TokenRecord, method: &str, path: &str, status: u16) -> bool {
    record.registry_requests.iter().any(|request| {
        request.method.as_str() == method
            && request.path.starts_with(path)
            && request.authorization == Authorization::Bearer
            && request.status == Some(status)
    })
}

#[test]
fn a_push_uses_tokens_that_the_pipe_requests() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default()).await;
        let depot = place.depot(Scenario::default()).await;
        let run = push(&depot, &registry, registry.owner(), "some/app").await;
        let manifest = registry.manifest("some/app", "test").await.unwrap();
        run.expect(0, &[&manifest.digest, "fetched a token of"])
            .without(registry.owner().password())
            .without("go to the builder");

        let record = registry.record();
        only_tokens(&record);
        assert!(!record.token_requests.is_empty());
        for request in &record.token_requests {
            assert_eq!(request.method, "POST");
            assert_eq!(request.password, PasswordSeen::Right);
            assert_eq!(request.field("client_id"), Some("depot-build"));
            assert_eq!(request.status, Some(200));
        }
        let mut scopes = record
            .token_requests
            .iter()
            .flat_map(|token| token.scopes());
        assert!(scopes.any(|scope| scope == "repository:some/app:pull,push"));
        assert!(has_request(&record, "PUT", "/v2/some/app/manifests/", 201));
        assert!(has_request(
            &record,
            "PUT",
            "/v2/some/app/blobs/uploads/",
            201
        ));
        depot.check().unwrap();
    });
}

#[test]
fn a_realm_on_another_port_is_trusted_if_the_registry_names_it() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default().realm(Realm::OtherPort)).await;
        let depot = place.depot(Scenario::default()).await;
        let run = push(&depot, &registry, registry.owner(), "some/app").await;
        run.expect(0, &[]);
        let record = registry.record();
        only_tokens(&record);
        // The pipe queried the registry itself, once, and without the password.
        let own: Vec<_> = record
            .registry_requests
            .iter()
            .filter(|request| request.path == "/v2/")
            .collect();
        let [request] = &own[..] else {
            panic!("{own:#?}")
        };
        assert_eq!(request.authorization, Authorization::Absent);
        assert_eq!(request.status, Some(401));
    });
}

#[test]
fn a_realm_without_post_is_queried_with_get() {
    with_place(async |place| {
        for status in [401, 405] {
            let plan = TokenPlan::default().post(TokenAnswer::Status(status));
            let registry = registry(plan).await;
            let depot = place.depot(Scenario::default()).await;
            let run = push(&depot, &registry, registry.owner(), "some/app").await;
            run.expect(0, &[]).without(registry.owner().password());
            let record = registry.record();
            only_tokens(&record);
            let right = PasswordSeen::Right;
            let requests = token_requests(&record);
            assert!(!requests.is_empty());
            for pair in requests.chunks(2) {
                assert_eq!(pair, [("POST", right), ("GET", right)]);
            }
        }
    });
}

#[test]
fn a_wrong_password_is_reported_with_the_registry_and_not_printed() {
    with_place(async |place| {
        // The result is the same for a realm that supports only POST.
        for get in [TokenAnswer::Token, TokenAnswer::Status(405)] {
            let registry = registry(TokenPlan::default().get(get)).await;
            let depot = place.depot(Scenario::default()).await;
            let context = small_context();
            let run = login(
                Program::of(&depot, context.path()),
                &registry,
                registry.owner(),
            )
            .set("IMAGE", format!("{}/some/app:test", registry.host()))
            .set("PUSH", "true")
            .set("DEBUG", "true")
            .set("REGISTRY_PASSWORD", "hunter2-is-wrong")
            .run()
            .await;
            let words = "incorrect username or password";
            let user = registry.owner().username();
            run.expect(
                5,
                &[registry.host(), words, user, "hint: ", "REGISTRY_PASSWORD"],
            )
            .without("hunter2-is-wrong");
            let error = reported_error(&depot);
            assert!(
                error.contains(words) && error.contains(registry.host()),
                "{error}"
            );
            assert!(!error.contains("hunter2-is-wrong"), "{error}");
            let record = registry.record();
            only_tokens(&record);
            let wrong = PasswordSeen::Wrong;
            assert!(
                token_requests(&record)
                    .iter()
                    .all(|(_, seen)| *seen == wrong)
            );
            assert_eq!(
                registry.tags("some/app").await.unwrap(),
                Vec::<String>::new()
            );
        }
    });
}

#[test]
fn a_user_without_push_permission_gets_a_hint() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default()).await;
        let depot = place.depot(Scenario::default()).await;
        let run = push(&depot, &registry, registry.reader(), "some/app").await;
        run.expect(
            5,
            &[registry.host(), "some/app", "hint: ", "REGISTRY_PASSWORD"],
        )
        .without(registry.reader().password());
        let record = registry.record();
        only_tokens(&record);
        assert!(
            record
                .registry_requests
                .iter()
                .all(|request| request.status != Some(201))
        );
        assert!(!reported_error(&depot).contains(registry.reader().password()));
    });
}

#[test]
fn a_refusal_of_the_realm_is_reported_with_its_message() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default()).await;
        registry.refuse(registry.owner());
        let depot = place.depot(Scenario::default()).await;
        let run = push(&depot, &registry, registry.owner(), "some/app").await;
        run.expect(5, &[registry.host(), "this account is closed", "hint: "])
            .without(registry.owner().password());
        only_tokens(&registry.record());
    });
}

#[test]
fn a_token_server_that_returns_no_token_is_reported() {
    with_place(async |place| {
        for (plan, message) in [
            (
                TokenPlan::default().post(TokenAnswer::Garbage),
                "the reply is not a token in JSON",
            ),
            (
                TokenPlan::default().post(TokenAnswer::Status(500)),
                "returns no token at the moment (HTTP 500)",
            ),
            (TokenPlan::default().realm(Realm::Nowhere), "HTTP 404"),
            (
                TokenPlan::default().post(TokenAnswer::Redirect),
                "redirects are not followed",
            ),
            (
                TokenPlan::default()
                    .post(TokenAnswer::Status(404))
                    .get(TokenAnswer::Redirect),
                "redirects are not followed",
            ),
        ] {
            let registry = registry(plan).await;
            let depot = place.depot(Scenario::default()).await;
            let run = push(&depot, &registry, registry.owner(), "some/app").await;
            run.expect(5, &[registry.host(), message])
                .without(registry.owner().password());
            let record = registry.record();
            only_tokens(&record);
            // The redirect leads to another port, which also issues tokens.
            let mut hosts = record
                .token_requests
                .iter()
                .map(|token| token.host.as_str());
            assert!(hosts.all(|host| host == registry.host()), "{record:#?}");
        }
    });
}

#[test]
fn a_signal_stops_the_pipe_although_a_realm_hangs() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default().post(TokenAnswer::Hang)).await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let program = Program::of(&depot, context.path())
            .set("IMAGE", format!("{}/some/app:test", registry.host()))
            .set("PUSH", "true");
        let running = login(program, &registry, registry.owner()).start();
        let request = registry
            .wait_for(Duration::from_mins(1), |record| {
                !record.token_requests.is_empty()
            })
            .await;
        assert!(request.is_some(), "{:?}", registry.record());
        running.signal("TERM").await;
        running.end().await.expect(143, &[]);
        let state = depot.record().last_build().unwrap().state.clone();
        assert_eq!(state, BuildState::Canceled);
    });
}

/// Pushes a base image as its owner and returns its reference.
async fn base(place: &Place, registry: &TokenRegistry, repository: &str) -> String {
    let depot = place.depot(Scenario::default()).await;
    let context = place.busybox_context("RUN echo base > /base");
    let image = format!("{}/{repository}:base", registry.host());
    let program = Program::of(&depot, context.path())
        .set("IMAGE", &image)
        .set("PUSH", "true");
    login(program, registry, registry.owner())
        .run()
        .await
        .expect(0, &[]);
    image
}

/// A context on the base image, with a step that reads a file of it.
fn context_on(base: &str) -> Context {
    let lines = "SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN grep base /base && echo found it\n";
    Context::new(&format!("FROM {base}\n{lines}")).unwrap()
}

/// The part of a record after an earlier record.
fn since(record: TokenRecord, before: &TokenRecord) -> TokenRecord {
    TokenRecord {
        token_requests: record.token_requests[before.token_requests.len()..].to_vec(),
        registry_requests: record.registry_requests[before.registry_requests.len()..].to_vec(),
        unforeseen: record.unforeseen,
    }
}

#[test]
fn a_base_image_is_pulled_with_the_users_tokens() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default()).await;
        let base = base(place, &registry, "private/base").await;
        let before = registry.record();

        let depot = place.depot(Scenario::default()).await;
        let context = context_on(&base);
        let program = Program::of(&depot, context.path());
        let run = login(program, &registry, registry.reader()).run().await;
        run.expect(0, &["found it"])
            .without(registry.reader().password());
        let record = since(registry.record(), &before);
        only_tokens(&record);
        assert!(has_request(
            &record,
            "HEAD",
            "/v2/private/base/manifests/base",
            200
        ));
        let user = Some(registry.reader().username());
        for request in &record.token_requests {
            assert_eq!(request.user.as_deref(), user);
            assert_eq!(request.password, PasswordSeen::Right);
        }
        assert!(!record.token_requests.is_empty());

        // Not without a login. Under its own name, the engine still has the image in its cache.
        let base = base.replace("127.0.0.1", "localhost");
        let context = context_on(&base);
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(5, &[&base, "hint: ", "REGISTRY_USERNAME"]);
    });
}

#[test]
fn a_public_base_image_is_pulled_with_an_anonymous_token() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default()).await;
        let base = base(place, &registry, "public/base").await;
        let before = registry.record();

        let depot = place.depot(Scenario::default()).await;
        let context = context_on(&base);
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(0, &["found it"]);
        let record = since(registry.record(), &before);
        only_tokens(&record);
        assert!(has_request(
            &record,
            "HEAD",
            "/v2/public/base/manifests/base",
            200
        ));
        let requests = token_requests(&record);
        assert!(!requests.is_empty());
        assert!(
            requests
                .iter()
                .all(|one| *one == ("GET", PasswordSeen::Absent))
        );
    });
}

#[test]
fn each_registry_gets_its_own_credentials_and_no_others() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default()).await;
        let base = base(place, &registry, "public/base").await;
        let before = registry.record();

        // The base image from here, the image to the registry with the password.
        let depot = place.depot(Scenario::default()).await;
        let context = context_on(&base);
        let image = place.image("on-a-base-with-tokens");
        let run = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .set("DEBUG", "true")
            .run()
            .await;
        run.expect(0, &["found it", &image])
            .without(place.registry.password());
        let warning = format!(
            "`{}` does not support tokens: its user name and password are sent to the builder",
            place.registry.host()
        );
        run.expect(0, &[&warning]);
        let record = since(registry.record(), &before);
        only_tokens(&record);
        let requests = token_requests(&record);
        assert!(!requests.is_empty());
        assert!(
            requests
                .iter()
                .all(|one| *one == ("GET", PasswordSeen::Absent))
        );

        // The reverse: a base image from the registry with the password, and a push to this registry,
        // which must not get that password.
        let before = registry.record();
        let context = context_on(&image);
        let run = Program::of(&depot, context.path())
            .push(
                &format!("{}/some/app:test", registry.host()),
                &place.registry,
            )
            .run()
            .await;
        run.expect(5, &[registry.host(), "hint: "])
            .without(place.registry.password());
        let record = since(registry.record(), &before);
        only_tokens(&record);
        assert!(!record.token_requests.is_empty());
        for request in &record.token_requests {
            assert_eq!(
                (request.user.as_deref(), request.password),
                (None, PasswordSeen::Absent)
            );
        }
    });
}

#[test]
fn a_pull_continues_after_a_temporary_failure_of_a_realm() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "realm-in-trouble.example";
        let realm = Realm::At("https://realm-in-trouble.example/token");
        let registry = registry(TokenPlan::default().realm(realm)).await;
        internet.route(host, registry.host());
        let image = format!("{host}/some/base:1");
        let depot = place.depot(Scenario::default()).await;
        let on_internet = |context: &Context| {
            let program = Program::of(&depot, context.path()).on(internet);
            let user = registry.owner();
            program
                .set("REGISTRY", host)
                .set("REGISTRY_USERNAME", user.username())
                .set("REGISTRY_PASSWORD", user.password())
        };
        let base = place.busybox_context("RUN echo base > /base");
        let pushed = on_internet(&base).set("IMAGE", &image).set("PUSH", "true");
        pushed.run().await.expect(0, &[]);
        let soon = vec![("retry-after", "1".to_owned())];
        for fault in [
            RegistryFault::Answer(503, Vec::new()),
            RegistryFault::Answer(429, soon),
            RegistryFault::CutAfter(0),
        ] {
            internet.plan(Planned {
                host: host.to_owned(),
                method: Method::POST,
                path_part: "/token",
                times: 1,
                fault,
            });
        }
        let context = context_on(&image);
        let run = on_internet(&context).set("NO_CACHE", "true").run().await;
        run.expect(0, &["found it", "HTTP 503", "HTTP 429", "trying again in"])
            .without(registry.owner().password());
        assert_eq!(internet.unmet(host), 0);
    });
}
