//! Git repositories that the builder fetches: as the context, as a named context, with a token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use depot_ground::fixtures::{BUSYBOX_BASE, Context};
use depot_ground::git::GitServer;
use local_depot::Scenario;
use uuid::Uuid;

use super::place::{Place, with_place};
use super::program::{Program, Run};

/// A repository with a Dockerfile in a directory, whose steps print a text that is new in each test.
async fn repository(place: &Place, authorization: Option<&str>) -> (GitServer, String) {
    let mark = Uuid::new_v4().simple().to_string();
    let files = place.busybox_context(&format!("RUN echo top-$((1 + 1)) {mark}"));
    files.file("only-in-git", "content of git\n").unwrap();
    let lines = format!("FROM scratch\nCOPY file /\nARG MARK={mark}\n");
    files.file("services/api/Dockerfile.api", lines).unwrap();
    files.file("services/api/file", "content of api\n").unwrap();
    let base = BUSYBOX_BASE.replacen("FROM scratch", "FROM scratch AS mixed", 1);
    let lines = format!(
        "{base}ARG GREETING\nCOPY only-in-git /\nCOPY --from=dist file /\n\
         RUN echo \"$GREETING $(cat /only-in-git) $(cat /file)\"\nFROM scratch\n"
    );
    files.file("services/mixed/Dockerfile", lines).unwrap();
    let lines = format!(
        "{BUSYBOX_BASE}ARG TARGETARCH\nRUN --mount=type=secret,id=token,required=true --mount=type=secret,id=key,required=true \
         echo \"$TARGETARCH got $(wc -c < /run/secrets/token) and $(wc -c < /run/secrets/key) bytes {mark}\"\n"
    );
    files.file("services/secret/Dockerfile", lines).unwrap();
    let server = GitServer::start(files.path(), authorization).await.unwrap();
    (server, mark)
}

fn basic(login: &str) -> String {
    format!("basic {}", STANDARD.encode(login))
}

/// Runs a build in a clone that has only these files.
async fn run(place: &Place, context: &Context, variables: &[(&str, &str)]) -> Run {
    let depot = place.depot(Scenario::default()).await;
    let program = Program::of(&depot, context.path());
    let variables = variables.iter();
    let program = variables.fold(program, |program, (name, value)| program.set(name, value));
    let run = program.run().await;
    depot.check().unwrap();
    run
}

/// A clone without a Dockerfile.
fn empty_clone() -> Context {
    let clone = Context::new("").unwrap();
    std::fs::remove_file(clone.path().join("Dockerfile")).unwrap();
    clone
}

#[test]
fn a_repository_is_the_context_with_its_own_dockerfile() {
    with_place(async |place| {
        let (server, _) = repository(place, None).await;
        let clone = empty_clone();
        let address = server.url();
        let top = run(place, &clone, &[("CONTEXT", &address)]).await;
        top.expect(0, &["top-2 "]);
        let address = format!("{address}#main:services/api");
        let image = place.image("of-git");
        let variables = [
            ("CONTEXT", &*address),
            ("DOCKERFILE", "Dockerfile.api"),
            ("IMAGE", &*image),
            ("PUSH", "true"),
            ("REGISTRY", &*place.registry.host()),
            ("REGISTRY_USERNAME", place.registry.username()),
            ("REGISTRY_PASSWORD", place.registry.password()),
        ];
        let api = run(place, &clone, &variables).await;
        api.expect(0, &["COPY file /", "pushed"]);
        assert!(
            server.seen().iter().all(Option::is_none),
            "{:?}",
            server.seen()
        );
    });
}

#[test]
fn a_private_repository_gets_the_token_of_its_host_or_the_general_one() {
    with_place(async |place| {
        let token = basic("x-access-token:git-token-of-test");
        for (variable, id) in [
            ("GIT_AUTH_TOKEN", ""),
            ("SECRETS", "GIT_AUTH_TOKEN"),
            ("SECRETS", "GIT_AUTH_TOKEN.HOST"),
            ("SECRETS", "GIT_AUTH_HEADER"),
            ("SECRETS", "GIT_AUTH_HEADER.HOST"),
        ] {
            let (server, _) = repository(place, Some(&token)).await;
            let id = id.replace("HOST", &server.host());
            let is_header = id.contains("HEADER");
            let value = if is_header {
                &*token
            } else {
                "git-token-of-test"
            };
            let value = if id.is_empty() {
                value.to_owned()
            } else {
                format!("{id}={value}")
            };
            let clone = empty_clone();
            let address = format!("{}#main", server.url());
            let run = run(place, &clone, &[("CONTEXT", &address), (variable, &value)]).await;
            run.expect(0, &["top-2 "]).without("git-token-of-test");
            let seen = server.seen();
            assert!(seen.contains(&Some(token.clone())), "{id}: {seen:?}");
        }
    });
}

#[test]
fn a_named_context_gets_the_token_too() {
    with_place(async |place| {
        let token = basic("x-access-token:git-token-of-test");
        let (server, _) = repository(place, Some(&token)).await;
        let context = place.busybox_context(
            "COPY --from=lib only-in-git /\nRUN echo \"copied $(cat /only-in-git)\"",
        );
        let lib = format!("lib={}#main", server.url());
        let variables = [
            ("BUILD_CONTEXTS", &*lib),
            ("GIT_AUTH_TOKEN", "git-token-of-test"),
        ];
        let run = run(place, &context, &variables).await;
        run.expect(0, &["copied content of git"])
            .without("git-token-of-test");
    });
}

#[test]
fn a_repository_and_directories_of_the_clone_are_used_together() {
    with_place(async |place| {
        let (server, mark) = repository(place, None).await;
        let clone = empty_clone();
        clone
            .file("dist/file", format!("content of clone {mark}\n"))
            .unwrap();
        let address = server.url();
        let dockerfile = "services/mixed/Dockerfile";
        let variables = [
            ("CONTEXT", &*address),
            ("DOCKERFILE", dockerfile),
            ("BUILD_CONTEXTS", "dist=dist"),
            ("TARGET", "mixed"),
            ("BUILD_ARGS", "GREETING=hello"),
        ];
        let run = run(place, &clone, &variables).await;
        run.expect(
            0,
            &[&format!("hello content of git content of clone {mark}")],
        );
    });
}

#[test]
fn both_machines_get_the_secrets_and_the_token() {
    with_place(async |place| {
        let token = basic("x-access-token:git-token-of-test");
        let (server, _) = repository(place, Some(&token)).await;
        let depot = place.depot_of_two(Scenario::default()).await;
        let clone = empty_clone();
        clone.file("key", "content of key\n").unwrap();
        let image = place.image("of-git-for-two");
        let run = Program::of(&depot, clone.path())
            .push(&image, &place.registry)
            .set("CONTEXT", server.url())
            .set("DOCKERFILE", "services/secret/Dockerfile")
            .set("PLATFORMS", "linux/amd64, linux/arm64")
            .set("GIT_AUTH_TOKEN", "git-token-of-test")
            .set("SECRETS", "token=hidden-token")
            .set("SECRET_FILES", "key=key")
            .run()
            .await;
        run.expect(0, &["amd64", "arm64"]);
        for architecture in ["amd64", "arm64"] {
            let measured = format!("{architecture} got 12 and 15 bytes");
            run.expect(0, &[&measured]).without("hidden-token");
        }
        depot.check().unwrap();
    });
}

#[test]
fn a_private_repository_without_a_token_gets_a_hint() {
    with_place(async |place| {
        let token = basic("x-access-token:git-token-of-test");
        let (server, _) = repository(place, Some(&token)).await;
        let clone = empty_clone();
        let address = server.url();
        let none = run(place, &clone, &[("CONTEXT", &address)]).await;
        none.expect(
            1,
            &[
                "hint: the Git repository requires a login",
                "GIT_AUTH_TOKEN",
            ],
        );
        let wrong = [("CONTEXT", &*address), ("GIT_AUTH_TOKEN", "a-wrong-token")];
        let wrong = run(place, &clone, &wrong).await;
        let hint = "hint: the host of the Git repository rejected the login";
        wrong.expect(1, &[hint]).without("a-wrong-token");
    });
}

/// A builder would request this ID for a repository of Bitbucket, which the tests do not connect to. So a step mounts it.
#[test]
fn bitbucket_gets_a_header_with_the_user_of_the_token() {
    with_place(async |place| {
        for (token, user) in [
            ("ATCTT-token-of-test", "x-token-auth"),
            ("ATATT-token-of-test", "x-bitbucket-api-token-auth"),
        ] {
            let lines = "RUN --mount=type=secret,id=GIT_AUTH_HEADER.bitbucket.org,target=/h,required=true \
                 echo \"the header is $(rev /h)\"";
            let context = place.busybox_context(&format!("{lines} # {user}"));
            let run = run(place, &context, &[("GIT_AUTH_TOKEN", token)]).await;
            let reversed: String = basic(&format!("{user}:{token}")).chars().rev().collect();
            run.expect(0, &[&format!("the header is {reversed}")]);
        }
    });
}
