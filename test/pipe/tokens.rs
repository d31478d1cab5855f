//! A registry that takes tokens: they are fetched by the pipe, and no password goes anywhere else.

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

/// A registry of the test's own: builders keep what they have found out about one.
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

/// What Depot was told of the only build's failure.
#[track_caller]
fn told_depot(depot: &LocalDepot) -> String {
    let record = depot.record();
    let BuildState::Failed(error) = &record.last_build().unwrap().state else {
        panic!("{record:#?}");
    };
    error.clone()
}

/// Whatever the test was about: the builder came to the registry with tokens or with nothing, every
/// password came from the pipe, and no one sent what he should not.
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
        // A builder has another name in a form, and leaves the account out of a query.
        let of_pipe = request.field("client_id") == Some("depot-build")
            || request.user.is_some() && request.field("account") == request.user.as_deref();
        let password = request.password != PasswordSeen::Absent;
        assert!(of_pipe || !password, "{request:?}");
    }
}

/// The methods by which tokens were asked for, and what the passwords were.
fn asked(record: &TokenRecord) -> Vec<(&str, PasswordSeen)> {
    let requests = record.token_requests.iter();
    requests
        .map(|request| (request.method.as_str(), request.password))
        .collect()
}

fn did(record: &TokenRecord, method: &str, path: &str, status: u16) -> bool {
    record.registry_requests.iter().any(|request| {
        request.method.as_str() == method
            && request.path.starts_with(path)
            && request.authorization == Authorization::Bearer
            && request.status == Some(status)
    })
}

#[test]
fn a_push_goes_with_tokens_that_the_pipe_has_fetched() {
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
        assert!(did(&record, "PUT", "/v2/some/app/manifests/", 201));
        assert!(did(&record, "PUT", "/v2/some/app/blobs/uploads/", 201));
        depot.check().unwrap();
    });
}

#[test]
fn a_realm_on_another_port_is_trusted_once_the_registry_names_it() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default().realm(Realm::OtherPort)).await;
        let depot = place.depot(Scenario::default()).await;
        let run = push(&depot, &registry, registry.owner(), "some/app").await;
        run.expect(0, &[]);
        let record = registry.record();
        only_tokens(&record);
        // The pipe asked the registry itself, once, and without the password.
        let own: Vec<_> = record
            .registry_requests
            .iter()
            .filter(|request| request.path == "/v2/")
            .collect();
        let [asked] = &own[..] else {
            panic!("{own:#?}")
        };
        assert_eq!(asked.authorization, Authorization::Absent);
        assert_eq!(asked.status, Some(401));
    });
}

#[test]
fn a_realm_that_does_not_know_post_is_asked_by_get() {
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
            let asked = asked(&record);
            assert!(!asked.is_empty());
            for pair in asked.chunks(2) {
                assert_eq!(pair, [("POST", right), ("GET", right)]);
            }
        }
    });
}

#[test]
fn a_wrong_password_is_told_with_the_registry_and_not_shown() {
    with_place(async |place| {
        // What is left of it when the realm knows POST alone is the same.
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
            let told = told_depot(&depot);
            assert!(
                told.contains(words) && told.contains(registry.host()),
                "{told}"
            );
            assert!(!told.contains("hunter2-is-wrong"), "{told}");
            let record = registry.record();
            only_tokens(&record);
            let wrong = PasswordSeen::Wrong;
            assert!(asked(&record).iter().all(|(_, seen)| *seen == wrong));
            assert_eq!(
                registry.tags("some/app").await.unwrap(),
                Vec::<String>::new()
            );
        }
    });
}

#[test]
fn a_user_who_may_only_pull_is_told_so() {
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
        assert!(!told_depot(&depot).contains(registry.reader().password()));
    });
}

#[test]
fn a_user_whom_the_realm_refuses_is_told_in_its_words() {
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
fn a_realm_that_gives_no_tokens_is_told() {
    with_place(async |place| {
        for (plan, told) in [
            (
                TokenPlan::default().post(TokenAnswer::Garbage),
                "an answer that is not the JSON of a token",
            ),
            (
                TokenPlan::default().post(TokenAnswer::Status(500)),
                "gives no token now (HTTP 500)",
            ),
            (
                TokenPlan::default().realm(Realm::Nowhere),
                "HTTP status 404",
            ),
            (
                TokenPlan::default().post(TokenAnswer::Redirect),
                "redirections are not followed",
            ),
            (
                TokenPlan::default()
                    .post(TokenAnswer::Status(404))
                    .get(TokenAnswer::Redirect),
                "redirections are not followed",
            ),
        ] {
            let registry = registry(plan).await;
            let depot = place.depot(Scenario::default()).await;
            let run = push(&depot, &registry, registry.owner(), "some/app").await;
            run.expect(5, &[registry.host(), told])
                .without(registry.owner().password());
            let record = registry.record();
            only_tokens(&record);
            // A redirection leads to another port, where tokens are given out too.
            let mut hosts = record
                .token_requests
                .iter()
                .map(|token| token.host.as_str());
            assert!(hosts.all(|host| host == registry.host()), "{record:#?}");
        }
    });
}

#[test]
fn a_realm_that_hangs_does_not_keep_the_pipe_from_stopping() {
    with_place(async |place| {
        let registry = registry(TokenPlan::default().post(TokenAnswer::Hang)).await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let program = Program::of(&depot, context.path())
            .set("IMAGE", format!("{}/some/app:test", registry.host()))
            .set("PUSH", "true");
        let running = login(program, &registry, registry.owner()).start();
        let asked = registry
            .wait_for(Duration::from_mins(1), |record| {
                !record.token_requests.is_empty()
            })
            .await;
        assert!(asked.is_some(), "{:?}", registry.record());
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

/// A context that needs what is in the base image.
fn context_on(base: &str) -> Context {
    let lines = "SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN grep base /base && echo found it\n";
    Context::new(&format!("FROM {base}\n{lines}")).unwrap()
}

/// The part of a record that came after another.
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
        assert!(did(&record, "HEAD", "/v2/private/base/manifests/base", 200));
        let user = Some(registry.reader().username());
        for request in &record.token_requests {
            assert_eq!(request.user.as_deref(), user);
            assert_eq!(request.password, PasswordSeen::Right);
        }
        assert!(!record.token_requests.is_empty());

        // Anybody may not. Under its own name the engine still has the image that it made.
        let base = base.replace("127.0.0.1", "localhost");
        let context = context_on(&base);
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(5, &[&base, "hint: ", "REGISTRY_USERNAME"]);
    });
}

#[test]
fn a_base_image_for_everybody_is_pulled_with_anybodys_token() {
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
        assert!(did(&record, "HEAD", "/v2/public/base/manifests/base", 200));
        let asked = asked(&record);
        assert!(!asked.is_empty());
        assert!(
            asked
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
        let told = format!(
            "`{}` does not support tokens: its user name and password are sent to the builder",
            place.registry.host()
        );
        run.expect(0, &[&told]);
        let record = since(registry.record(), &before);
        only_tokens(&record);
        let asked = asked(&record);
        assert!(!asked.is_empty());
        assert!(
            asked
                .iter()
                .all(|one| *one == ("GET", PasswordSeen::Absent))
        );

        // The other way round: a base image from the registry with the password, and this one has
        // nothing to do with that password.
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
fn a_pull_goes_on_where_a_realm_is_out_of_order_for_a_moment() {
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
