//! Invalid variables: their error messages do not contain their values.

use super::scene::Scene;
use crate::place::with_place;

/// Each secret with common mistakes, and in the place of another value.
const SPOILED: &[(&str, &[&str])] = &[
    ("DEPOT_TOKEN", &["{} and more", "{}\nline", "ä{}"]),
    ("DOCKERHUB_TOKEN", &["{}\n{}", "\u{1}{}"]),
    ("DOCKERHUB_USERNAME", &["", "{}\n{}"]),
    (
        "REGISTRY",
        &["{}", "https://me:{}@registry.example.com/", "me:{}@host"],
    ),
    ("REGISTRY_PASSWORD", &["{}\n{}", "\u{1}{}"]),
    ("REGISTRY_USERNAME", &["", "me\n{}"]),
    (
        "REGISTRIES",
        &[
            "{}",
            "- {}",
            "- {registry: a.example, username: me, passwort: '{}'}",
            "- {registry: a.example, username: me, password: '{}",
            "- {registry: a.example, username: me, password: ['{}']}",
            "- registry: a.example\n  password: '{}'",
            "a.example: me:{}",
        ],
    ),
    (
        "DOCKER_CONFIG",
        &[
            "{\"auths\":{\"a.example\":{\"auth\":\"{}\"}}}",
            "{\"proxies\":{\"default\":{\"httpProxy\":\"http://me:{}@a.example\"}}}",
        ],
    ),
    ("REGISTRY_INSECURE", &["https://me:{}@a.example"]),
    ("AWS_ACCESS_KEY_ID", &["{}", ""]),
    ("AWS_OIDC_ROLE_ARN", &["https://me:{}@a.example"]),
    ("AWS_ENDPOINT_URL", &["https://me:{}@a.example"]),
    (
        "DEPOT_API_URL",
        &["https://me:{}@a.example", "me:{}@a.example"],
    ),
    (
        "IMAGE",
        &["me:{}@a.example/app", "https://me:{}@a.example/app"],
    ),
    ("TAGS", &["me:{}@a.example", "https://me:{}@a.example"]),
    ("SAVE_TAGS", &["me:{}@a.example", "https://me:{}@a.example"]),
    ("BUILD_ARGS", &["- [{}]", "={}", "A=1\nA={}", "{}"]),
    (
        "SECRETS",
        &[
            "={}",
            "a b={}",
            "a=x\na={}",
            "a: [{}]",
            "id=npm,src={}",
            "- {}",
        ],
    ),
    ("GIT_AUTH_TOKEN", &["{} and more", "{}\nline", "ä{}"]),
    (
        "CONTEXT",
        &[
            "https://me:{}@a.example/app",
            "ssh://me:{}@a.example/app.git",
        ],
    ),
    (
        "BUILD_CONTEXTS",
        &[
            "{}",
            "a=ftp://me:{}@a.example",
            "a=me:{}@a.example",
            "=https://me:{}@a.example",
        ],
    ),
    ("NO_CACHE_FILTER", &["me:{}@a.example"]),
    ("SOURCE_DATE_EPOCH", &["{}", "me:{}@a.example"]),
    ("NETWORK", &["{}", "me:{}@a.example"]),
    ("ADD_HOSTS", &["me:{}@a.example", "https://me:{}@a.example"]),
    ("SHM_SIZE", &["{}", "me:{}@a.example"]),
    ("ULIMITS", &["me:{}@a.example", "nofile=me:{}@a.example"]),
    ("CGROUP_PARENT", &["me:{}@a.example"]),
    ("ALLOW", &["me:{}@a.example"]),
    ("HTTPS_PROXY", &["me:{}@", "socks5://me:{}@127.0.0.1:1"]),
    ("TIMEOUT", &["https://me:{}@a.example"]),
    ("PLATFORMS", &["me:{}@a.example"]),
];

#[test]
fn errors_of_variables_do_not_contain_their_values() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        let depot = place.depot(scene.scenario()).await;
        for &(name, spoiled) in SPOILED {
            let values = [name, "REGISTRY_PASSWORD"].map(|name| scene.value(name));
            for pattern in spoiled {
                // Its own value, and that of another variable, which is also secret.
                for value in values.iter().flatten() {
                    let program = scene.program(&depot).await;
                    let run = program
                        .set(name, pattern.replace("{}", value))
                        .set(
                            "PUSH",
                            format!("neither {}", scene.secret("AWS_SESSION_TOKEN")),
                        )
                        .run()
                        .await;
                    run.expect(2, &["PUSH"]);
                    scene.check(&run, &[]);
                }
            }
        }
        assert!(depot.record().calls.is_empty());
    });
}
