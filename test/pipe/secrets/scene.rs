//! The environment of one run: recording parts, folders, variables, and the check of all records.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use depot_ground::engine::state_folder;
use depot_ground::fixtures::BUSYBOX_BASE;
use depot_ground::internet::Internet;
use depot_ground::registry::tokens::{Realm, TokenPlan, TokenRegistry};
use depot_ground::registry::{Login, Registry};
use depot_ground::traffic::{HttpDoor, Instead, Piece, Tap, Traffic};
use local_depot::{CreateBuildAnswer, HostCredential, LocalDepot, MachinePlan, PullInfo, Scenario};
use tempfile::TempDir;

use super::forms::Finder;
use super::plants::{self, Secret};
use crate::place::Place;
use crate::program::{Program, Run};

/// The user at every registry.
const USER: &str = "passer-by";

/// The environment of a run. Ends when it is dropped.
pub struct Scene {
    folder: TempDir,
    before: BTreeMap<PathBuf, Vec<u8>>,
    pub traffic: Traffic,
    secrets: Vec<Secret>,
    /// Parts that repeat their requests.
    repeats: Vec<&'static str>,
    /// Records the registry with tokens.
    pub tokens: HttpDoor,
    /// Record the registry of `REGISTRIES`, that of `DOCKER_CONFIG`, and Depot's.
    pub listed: HttpDoor,
    pub configured: HttpDoor,
    pub kept: HttpDoor,
    pub container: HttpDoor,
    /// The internet of the pipe. The builder has another one, and gets no passwords of hosts with tokens.
    pub internet: Internet,
    proxy: Tap,
    api: Vec<HttpDoor>,
    /// Dropped last.
    _hub: HttpDoor,
    _registries: [Registry; 3],
    _token_registry: TokenRegistry,
}

impl Scene {
    /// Without failures.
    pub async fn start(place: &Place, internet: &Internet) -> Self {
        Self::start_with(place, internet, None).await
    }

    /// With the responses `instead` of the registries in `REGISTRY` and `REGISTRIES`.
    pub async fn start_with(place: &Place, internet: &Internet, instead: Option<Instead>) -> Self {
        // The future is large, so it is on the heap.
        Box::pin(Self::create(place, internet, instead)).await
    }

    async fn create(place: &Place, internet: &Internet, instead: Option<Instead>) -> Self {
        let secrets = Secret::all();
        let traffic = Traffic::default();
        let login = |name: &str| {
            let secret = secrets.iter().find(|secret| secret.name == name).unwrap();
            Login::of(USER, &secret.value)
        };
        let door =
            async |part: &str, instead| HttpDoor::open(&traffic, part, instead).await.unwrap();
        let basic = async |name: &str| {
            let registry = Registry::start_for(&state_folder(), login(name)).await;
            registry.unwrap()
        };
        let tokens = door("tokens", instead).await;
        let realm = Realm::At(format!("http://{}/token", tokens.host()).leak());
        let plan = TokenPlan::default()
            .realm(realm)
            .owner(login("REGISTRY_PASSWORD"));
        let state = state_folder();
        let (token_registry, listed, configured, kept) = tokio::join!(
            TokenRegistry::start(&state, plan),
            basic("REGISTRIES"),
            basic("DOCKER_CONFIG"),
            basic("the login of Depot's registry"),
        );
        let token_registry = token_registry.unwrap();
        let own = Internet::start().await.unwrap();
        let hub = door("hub", None)
            .await
            .to(place.docker_hub(internet).await.host());
        for host in ["registry-1.docker.io", "auth.docker.io"] {
            own.route(host, &hub.host());
        }
        let proxy = own.proxy().replace("http://", "");
        let scene = Self {
            folder: TempDir::new().unwrap(),
            before: BTreeMap::new(),
            tokens: tokens.to(token_registry.host()),
            listed: door("listed", instead).await.to(&listed.host()),
            configured: door("configured", None).await.to(&configured.host()),
            kept: door("kept", None).await.to(&kept.host()),
            container: door("container", Some(CONTAINER)).await,
            internet: own,
            proxy: Tap::open(&traffic, "proxy", &proxy).await.unwrap(),
            api: Vec::new(),
            _hub: hub,
            _registries: [listed, configured, kept],
            _token_registry: token_registry,
            traffic,
            secrets,
            repeats: Vec::new(),
        };
        for folder in [
            "clone/docker",
            "clone/keys",
            "storage",
            "shared",
            "temporary",
            "home",
        ] {
            fs::create_dir_all(scene.folder.path().join(folder)).unwrap();
        }
        scene.file("Dockerfile", "FROM scratch\nARG WORD\nCOPY file /file\n");
        scene.file("file", "content\n");
        scene
    }

    /// Writes a file of the clone.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.clone_folder().join(name), content).unwrap();
    }

    /// Writes a Dockerfile with a shell and these lines.
    pub fn steps(&self, place: &Place, lines: &str) {
        fs::copy(place.busybox.path(), self.clone_folder().join("busybox")).unwrap();
        self.file("Dockerfile", format!("{BUSYBOX_BASE}{lines}\n"));
    }

    pub fn secret(&self, name: &str) -> &str {
        &self.planted(name).value
    }

    /// The value of the secret with this name.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut secrets = self.secrets.iter();
        let secret = secrets.find(|secret| secret.name == name)?;
        Some(secret.value.clone())
    }

    /// Allows secrets in the responses of a part that repeats its requests.
    pub fn allow_answers(&mut self, part: &'static str) {
        self.repeats.push(part);
    }

    /// Changes the value of a secret.
    pub fn change(&mut self, name: &str, value: &str) {
        let mut secrets = self.secrets.iter_mut();
        let secret = secrets.find(|secret| secret.name == name).unwrap();
        value.clone_into(&mut secret.value);
        secret.marks = vec![value.to_owned()];
    }

    /// Allows a secret at the builder, because the test sends it there.
    pub fn allow_in_builder(&mut self, name: &str) {
        let mut secrets = self.secrets.iter_mut();
        let secret = secrets.find(|secret| secret.name == name).unwrap();
        secret.places = &[("builder", "", "")];
    }

    fn planted(&self, name: &str) -> &Secret {
        let mut secrets = self.secrets.iter();
        secrets.find(|secret| secret.name == name).unwrap()
    }

    fn clone_folder(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    /// A Depot with the planted tokens, which saves images and records its machines.
    pub fn scenario(&self) -> Scenario {
        let password = self.secret("the login of Depot's registry");
        let reference = format!("{}/kept:{{build_id}}", self.kept.host());
        let answer = CreateBuildAnswer {
            additional_tags: vec![reference.clone()],
            additional_credentials: vec![HostCredential {
                host: self.kept.host(),
                username: USER.into(),
                password: password.into(),
            }],
            ..CreateBuildAnswer::default()
        };
        let pull = PullInfo {
            reference,
            username: USER.into(),
            password: password.into(),
        };
        Scenario::default()
            .tokens(self.secret("DEPOT_TOKEN"), self.secret("the build's token"))
            .machines(MachinePlan::default().recorded(&self.traffic))
            .answer(answer)
            .pull(pull)
    }

    /// The program with all planted secrets, for this Depot.
    pub async fn program(&mut self, depot: &LocalDepot) -> Program {
        self.program_with(depot, None).await
    }

    /// With the responses `instead` of the API.
    pub async fn program_with(&mut self, depot: &LocalDepot, instead: Option<Instead>) -> Program {
        let api = HttpDoor::open(&self.traffic, "api", instead).await.unwrap();
        let api = api.to(depot.api_url().trim_start_matches("http://"));
        let program = self.variables(&api, depot.project_id());
        self.api.push(api);
        self.before = files(self.folder.path());
        program
    }

    fn variables(&self, api: &HttpDoor, project: &str) -> Program {
        let secret = |name: &str| self.secret(name);
        let folder = |name: &str| self.folder.path().join(name);
        self.file("docker/config.json", self.docker_configuration());
        let key = secret("SECRET_FILES");
        self.file(
            "keys/key.pem",
            format!("-----BEGIN KEY-----\n{key}\n-----END KEY-----\n"),
        );
        self.file("deploy_key", secret("SSH"));
        fs::write(
            folder("token"),
            secret("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        )
        .unwrap();
        let proxy = format!(
            "http://{USER}:{}@{}",
            self.planted("HTTPS_PROXY").in_address(),
            self.proxy.host()
        );
        let repository = format!(
            "elsewhere=https://{USER}:{}@git.example.com/some/repository.git",
            self.planted("BUILD_CONTEXTS").in_address()
        );
        let program = Program::in_directory(&self.clone_folder())
            .set("DEBUG", "true")
            .set("DEPOT_API_URL", format!("http://{}", api.host()))
            .set("DEPOT_PROJECT_ID", project)
            .set("DOCKERHUB_USERNAME", USER)
            .set("BITBUCKET_PACKAGES_USERNAME", USER)
            .set("REGISTRY", self.tokens.host())
            .set("REGISTRY_USERNAME", USER)
            .set("REGISTRIES", self.registries())
            .set("DOCKER_CONFIG", "docker")
            .set("HTTPS_PROXY", proxy)
            .set("NO_PROXY", "127.0.0.1,localhost")
            .set("SSL_CERT_FILE", self.internet.authority())
            .set("BUILD_CONTEXTS", repository)
            .set("SSH", "deploy_key")
            .set("BUILD_ARGS", format!("WORD={}", secret("BUILD_ARGS")))
            .set("SECRETS", self.build_secrets())
            .set("SECRET_FILES", "key=keys/key.pem")
            .set(
                "CACHE_FROM",
                format!(
                    "type=s3,bucket=b,region=r,access_key_id=A,secret_access_key={}",
                    secret("CACHE_FROM")
                ),
            )
            .set("OUTPUT_FILE", "image.env")
            .set("OUTPUT_VARIABLES", "DEPOT_BUILD_ID")
            .set("METADATA_FILE", "metadata.json")
            .set("BITBUCKET_CLONE_DIR", self.clone_folder())
            .set("BITBUCKET_PIPE_STORAGE_DIR", folder("storage"))
            .set("BITBUCKET_PIPE_SHARED_STORAGE_DIR", folder("shared"))
            .set("BITBUCKET_PIPELINES_VARIABLES_PATH", folder("variables"))
            .set("TMPDIR", folder("temporary"))
            .set("HOME", folder("home"));
        let unchanged = [
            "DEPOT_TOKEN",
            "DOCKERHUB_TOKEN",
            "BITBUCKET_PACKAGES_TOKEN",
            "REGISTRY_PASSWORD",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "BITBUCKET_STEP_OIDC_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "GIT_AUTH_TOKEN",
        ];
        unchanged
            .into_iter()
            .fold(self.of_container(program), |program, name| {
                program.set(name, secret(name))
            })
    }

    /// Adds the variables of a container's role.
    fn of_container(&self, program: Program) -> Program {
        let full = self.secret("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let relative = self.secret("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        program
            .set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .set(
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                format!("/{relative}"),
            )
            .set(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                format!("http://{}/{full}", self.container.host()),
            )
            .set(
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                self.folder.path().join("token"),
            )
    }

    /// The value of `SECRETS`.
    fn build_secrets(&self) -> String {
        let secret = |name: &str| self.secret(name);
        format!(
            "token={}\nunused={}",
            secret("SECRETS"),
            secret("SECRETS, which no step mounts")
        )
    }

    /// The value of `REGISTRIES`.
    fn registries(&self) -> String {
        let secret = |name: &str| self.secret(name);
        let listed = [
            (self.listed.host(), secret("REGISTRIES")),
            (
                "unused.example.com".into(),
                secret("REGISTRIES, for a host that is not used"),
            ),
        ];
        let listed = listed.map(|(host, password)| {
            format!("- {{registry: '{host}', username: {USER}, password: '{password}'}}\n")
        });
        listed.concat()
    }

    /// The file of `DOCKER_CONFIG`.
    fn docker_configuration(&self) -> String {
        let login = format!("{USER}:{}", self.secret("DOCKER_CONFIG"));
        let proxy = self.planted("DOCKER_CONFIG, in the address of a proxy");
        let proxy = format!("http://{USER}:{}@proxy.example.com", proxy.in_address());
        let proxies = serde_json::json!({ "default": { "httpProxy": proxy } });
        let configuration = serde_json::json!({ "proxies": proxies, "auths": {
            self.configured.host(): { "auth": STANDARD.encode(login) },
            "unused-too.example.com": {
                "identitytoken": self.secret("DOCKER_CONFIG, for a host that is not used"),
            },
        } });
        configuration.to_string()
    }

    /// Fails the test if a secret is at another place than its own, or if one of `seen`, a secret and a part, was not seen.
    pub fn check(&self, run: &Run, seen: &[(&str, &str)]) {
        self.check_with(run, Vec::new(), seen);
    }

    /// Like [`Self::check`], with further records.
    #[track_caller]
    pub fn check_with(&self, run: &Run, others: Vec<Piece>, seen: &[(&str, &str)]) {
        assert!(!self.traffic.is_cut(), "more has passed than was kept");
        let mut pieces = self.traffic.pieces();
        let mut secrets: Vec<&Secret> = self.secrets.iter().collect();
        let on_the_way = plants::on_the_way(&pieces);
        secrets.extend(&on_the_way);
        pieces.extend(others);
        pieces.push(piece("log", "", run.log.clone().into_bytes()));
        for (path, content) in files(self.folder.path()) {
            if self.before.get(&path) != Some(&content) {
                let name = path.strip_prefix(self.folder.path()).unwrap();
                pieces.push(piece("files", &name.display().to_string(), content));
            }
        }
        let mut finder = Finder::default();
        for (number, secret) in secrets.iter().enumerate() {
            for mark in &secret.marks {
                finder.add(number, mark.as_bytes());
            }
        }
        let (mut leaks, mut sighted) = (BTreeSet::new(), BTreeSet::new());
        for piece in &pieces {
            readable(piece);
            for found in finder.find(&piece.bytes) {
                let secret = secrets[found.secret];
                let repeats = self.repeats.contains(&piece.part.as_str())
                    && piece.what.starts_with("response")
                    && secret.places.iter().any(|(part, ..)| *part == piece.part);
                if repeats || secret.may_be(&piece.part, &piece.call, &piece.what) {
                    sighted.insert((secret.name, piece.part.as_str()));
                } else {
                    let Piece {
                        part, call, what, ..
                    } = piece;
                    let (name, form, around) = (secret.name, found.form, found.around);
                    leaks.insert(format!(
                        "{name}, {form}, in {part} {call} {what}: …{around}…"
                    ));
                }
            }
        }
        let leaks: Vec<String> = leaks.into_iter().collect();
        assert!(leaks.is_empty(), "{}\n{}", leaks.join("\n"), run.log);
        for &(secret, part) in seen {
            let is_sighted = sighted.contains(&(secret, part));
            assert!(
                is_sighted,
                "{secret} was not seen in {part}: {sighted:?}\n{}",
                run.log
            );
        }
    }
}

/// A record of the program itself.
pub fn piece(part: &str, call: &str, bytes: Vec<u8>) -> Piece {
    Piece {
        part: part.to_owned(),
        call: call.to_owned(),
        what: String::new(),
        bytes,
    }
}

/// Fails the test if a record is compressed or encoded, so that the search is incomplete. Layers are excepted: they contain
/// only files of the test.
#[track_caller]
fn readable(piece: &Piece) {
    let is_encoding = piece.what.ends_with("-encoding") && !piece.what.ends_with("accept-encoding");
    let is_gzip = is_encoding && piece.bytes != b"identity" && piece.bytes != b"chunked";
    let is_http2 = piece.what.ends_with("bytes")
        && piece
            .bytes
            .windows(14)
            .any(|bytes| bytes == b"PRI * HTTP/2.0");
    assert!(
        !is_gzip && !is_http2,
        "cannot be searched: {} {}",
        piece.part,
        piece.call
    );
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// The server with the credentials of a container's role.
const CONTAINER: Instead = Instead {
    applies_to: |_| true,
    answer: |_, _| {
        let credentials = serde_json::json!({
            "AccessKeyId": "ASIAIOSFODNN7EXAMPLE",
            "SecretAccessKey": "planted/by+the/containers+service",
            "Token": "planted-as-the-containers-session==",
            "Expiration": "2099-01-01T00:00:00Z",
        });
        http::Response::new(credentials.to_string().into())
    },
};
