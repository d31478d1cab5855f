//! `SSH` with keys and sockets on disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

/// A clone, next to a folder with the step's key and a folder that is out of reach.
struct Scene {
    folder: tempfile::TempDir,
    _sockets: Vec<UnixListener>,
}

fn sample(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ssh/samples");
    fs::read(format!("{folder}/{name}")).unwrap()
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["clone/keys", "ssh", "outside"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        for name in [
            "ed25519",
            "ed25519.pub",
            "ed25519_passphrase",
            "p256",
            "p521",
            "rsa_1024",
            "rsa_pem_passphrase",
        ] {
            fs::write(path("clone/keys").join(name), sample(name)).unwrap();
        }
        fs::write(path("clone/keys/long"), vec![b'x'; (100 << 10) + 1]).unwrap();
        fs::write(path("clone/keys/text"), "hello").unwrap();
        fs::write(path("clone/keys/empty"), "").unwrap();
        fs::write(path("outside/key"), sample("p384")).unwrap();
        fs::write(path("ssh/deploy"), sample("p384")).unwrap();
        symlink("../../outside/key", path("clone/keys/link")).unwrap();
        symlink("nowhere", path("clone/keys/broken")).unwrap();
        symlink("../../ssh/deploy", path("clone/keys/deploy")).unwrap();
        let long = path("clone").join("x".repeat(90));
        fs::create_dir(&long).unwrap();
        let sockets = ["clone/agent.sock", "ssh/agent.sock", "outside/agent.sock"];
        let sockets = sockets.map(|name| UnixListener::bind(path(name)).unwrap());
        // A longer path cannot be bound directly.
        fs::hard_link(path("clone/agent.sock"), long.join("agent.sock")).unwrap();
        Self {
            _sockets: sockets.into(),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn read(&self, value: &str, key_file: Option<&str>) -> (SshPlan, Findings) {
        let clone = self.path("clone");
        let mut findings = Findings::default();
        let places = Places::new(&clone, Some(clone.as_os_str()), &mut findings);
        let mut reader = Reader {
            key_file: key_file.map(|name| self.path(name)),
            folder: &self.path("ssh"),
            places: &places,
            findings: &mut findings,
            plan: BTreeMap::new(),
            files: Vec::new(),
        };
        reader.entries(value);
        let plan = SshPlan {
            agents: Agents::new(reader.plan),
            files: reader.files,
        };
        (plan, findings)
    }

    /// The agents, and the errors with short paths.
    fn outcome(&self, value: &str, key_file: Option<&str>) -> (String, String) {
        let (plan, findings) = self.read(value, key_file);
        let folder = self.path("").display().to_string();
        let error = findings.into_error().to_string().replace(&folder, "/");
        let agents = format!("{:?}", plan.agents).replace(&folder, "/");
        (agents, error)
    }
}

#[test]
fn keys_and_sockets_of_the_clone_and_of_bitbuckets_folder_are_agents() {
    let scene = Scene::new();
    let folder = scene.path("ssh").display().to_string();
    for (value, agents) in [
        (
            "keys/ed25519",
            "{\"default\": Keys([PrivateKey(ssh-ed25519)])}",
        ),
        (
            "default=keys/../keys/p256",
            "{\"default\": Keys([PrivateKey(ecdsa-sha2-nistp256)])}",
        ),
        (
            "a = keys/ed25519\n b-2=agent.sock\r\n",
            "{\"a\": Keys([PrivateKey(ssh-ed25519)]), \"b-2\": Socket(\"/clone/agent.sock\")}",
        ),
        (
            "\0keys/p256\0github=keys/ed25519, keys/p256",
            "{\"default\": Keys([PrivateKey(ecdsa-sha2-nistp256)]), \
              \"github\": Keys([PrivateKey(ssh-ed25519), PrivateKey(ecdsa-sha2-nistp256)])}",
        ),
        (
            "github: keys/ed25519\nother: 'keys/p256'\n",
            "{\"github\": Keys([PrivateKey(ssh-ed25519)]), \"other\": Keys([PrivateKey(ecdsa-sha2-nistp256)])}",
        ),
        (
            &format!("{folder}/deploy"),
            "{\"default\": Keys([PrivateKey(ecdsa-sha2-nistp384)])}",
        ),
        (
            "keys/deploy",
            "{\"default\": Keys([PrivateKey(ecdsa-sha2-nistp384)])}",
        ),
        (
            &format!("{folder}/agent.sock"),
            "{\"default\": Socket(\"/ssh/agent.sock\")}",
        ),
        ("false", "{}"),
        (" No ", "{}"),
    ] {
        assert_eq!(
            scene.outcome(value, None),
            (agents.into(), String::new()),
            "{value}"
        );
    }
}

#[test]
fn the_key_of_the_step_comes_from_its_variable_or_from_bitbuckets_folder() {
    let scene = Scene::new();
    let (_, error) = scene.outcome("true", None);
    assert!(
        error.starts_with(
            "SSH: the step has no SSH key: neither the file in BITBUCKET_SSH_KEY_FILE nor `/ssh/id_rsa` exists; generate or add a key in the \
             repository settings"
        ),
        "{error}"
    );
    let rsa = "{\"default\": Keys([PrivateKey(ssh-rsa)])}";
    // The same key twice, as on Bitbucket.
    fs::write(scene.path("ssh/id_rsa"), sample("rsa")).unwrap();
    fs::write(scene.path("ssh/id_rsa_tmp"), sample("rsa_pem")).unwrap();
    for key_file in [None, Some("ssh/id_rsa_tmp"), Some("ssh/missing")] {
        for value in ["true", "Yes", "\0true"] {
            assert_eq!(scene.outcome(value, key_file), (rsa.into(), String::new()));
        }
    }
    let own = "{\"default\": Keys([PrivateKey(ecdsa-sha2-nistp384)])}";
    assert_eq!(
        scene.outcome("on", Some("outside/key")),
        (own.into(), String::new())
    );
    let both = "{\"a\": Keys([PrivateKey(ssh-ed25519)]), \"default\": Keys([PrivateKey(ssh-rsa)])}";
    assert_eq!(
        scene.outcome("true\na=keys/ed25519", None),
        (both.into(), String::new())
    );
    // One that cannot be used does not hide the other.
    fs::write(scene.path("ssh/id_rsa"), "").unwrap();
    assert_eq!(scene.outcome("true", None), (rsa.into(), String::new()));
    fs::write(scene.path("ssh/id_rsa_tmp"), sample("rsa_pem_passphrase")).unwrap();
    let (_, error) = scene.outcome("true", None);
    assert!(
        error.starts_with("SSH: `/ssh/id_rsa` is empty; "),
        "{error}"
    );
}

impl Scene {
    /// Checks that each value has one fault, with this problem and this advice.
    #[track_caller]
    fn rejects(&self, values: &[(&str, &str, &str)]) {
        for &(value, problem, advice) in values {
            let (agents, error) = self.outcome(value, None);
            assert_eq!(error.lines().count(), 1, "{value}: {error}");
            assert!(error.starts_with("SSH: "), "{value}: {error}");
            assert!(error.contains(problem), "{value}: {error}");
            assert!(error.contains(advice), "{value}: {error}");
            assert!(!agents.contains("Socket"), "{value}: {agents}");
        }
    }
}

#[test]
fn wrong_files_are_reported() {
    Scene::new().rejects(&[
        (
            "keys/ed25519.pub",
            "`/clone/keys/ed25519.pub` is a public key; ",
            "private key",
        ),
        (
            "keys/ed25519_passphrase",
            "`/clone/keys/ed25519_passphrase` has a passphrase",
            "`ssh-keygen -p`",
        ),
        (
            "keys/rsa_pem_passphrase",
            "`/clone/keys/rsa_pem_passphrase` has a passphrase",
            "`ssh-keygen -p`",
        ),
        (
            "keys/p521",
            "`/clone/keys/p521` is a key of an unsupported type (ECDSA P-521)",
            "Ed25519",
        ),
        (
            "keys/rsa_1024",
            "`/clone/keys/rsa_1024` is an RSA key of 1024 bits",
            "2048 to 4096 bits",
        ),
        (
            "keys/text",
            "`/clone/keys/text` is not a private key",
            "ssh-keygen",
        ),
        ("keys/empty", "`/clone/keys/empty` is empty", "ssh-keygen"),
        (
            "keys/long",
            "`/clone/keys/long` has more than 102400 bytes",
            "private key",
        ),
        ("keys", "`/clone/keys` is a directory", "private key"),
        (
            "keys/missing",
            "`/clone/keys/missing` does not exist",
            "private key",
        ),
        (
            "keys/broken",
            "`/clone/keys/broken` is a broken link",
            "private key",
        ),
        (
            "keys/link",
            "`/outside/key` is outside of the clone directory",
            "private key",
        ),
        (
            "../outside/key",
            "`/outside/key` is outside of the clone directory",
            "private key",
        ),
        (
            "../outside/agent.sock",
            "`/outside/agent.sock` is outside of the clone directory",
            "private key",
        ),
        (
            "/dev/null",
            "`/dev/null` is outside of the clone directory",
            "private key",
        ),
    ]);
}

#[test]
fn wrong_entries_are_reported() {
    let scene = Scene::new();
    let long = format!("{}/agent.sock", "x".repeat(90));
    scene.rejects(&[
        ("a=", "entry 1 has no path after its `=`", "ID=PATH"),
        (
            "=keys/p256",
            "entry 1 does not start with an id and `=`",
            "`default=PATH`",
        ),
        (
            "keys/a=b",
            "entry 1 does not start with an id and `=`",
            "`default=PATH`",
        ),
        (
            "a b=keys/p256",
            "entry 1 does not start with an id and `=`",
            "`default=PATH`",
        ),
        (
            "a=keys/p256\na=keys/ed25519",
            "entry 2 has the same id as an earlier entry (`a`)",
            "once",
        ),
        (
            "keys/p256\nkeys/ed25519",
            "entry 2 has the same id as an earlier entry (`default`)",
            "commas",
        ),
        ("default=keys/p256\ntrue", "entry 2 has the same id", "once"),
        (
            "a=keys/p256\nfalse",
            "entry 2 is false, which is possible only alone",
            "remove",
        ),
        (
            "a=$SSH_AUTH_SOCK",
            "entry 1 refers to a variable that is not set",
            "PATH",
        ),
        (
            "a=keys/p256,agent.sock",
            "entry 1 has a socket and other paths",
            "alone",
        ),
        (
            "a=k,k,k,k,k,k,k",
            "entry 1 has more than 6 keys",
            "several ids",
        ),
        ("a=keys/p256,", "`/clone` is a directory", "private key"),
        (
            &long,
            "is longer than 107 bytes, the limit for the path of a socket",
            "shorter path",
        ),
        (
            "a: [keys/p256]",
            "not a YAML mapping of ids to paths",
            "ID=PATH",
        ),
    ]);
    // All at once.
    let (_, error) = scene.outcome("a=keys/missing\nb=keys/text\n=x\nc=keys/p521", None);
    assert_eq!(error.lines().count(), 4, "{error}");
}

#[test]
fn keys_are_withheld_and_masked() {
    let scene = Scene::new();
    let (plan, findings) = scene.read("keys/ed25519\nb=agent.sock\nc=keys/rsa_1024", None);
    let expected = [
        "clone/keys/ed25519",
        "clone/agent.sock",
        "clone/keys/rsa_1024",
    ];
    assert_eq!(plan.files, expected.map(|name| scene.path(name)));
    let secrets = findings.secrets();
    let secrets: Vec<_> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    // Also if the key cannot be used.
    for name in ["ed25519", "rsa_1024"] {
        let text = String::from_utf8(sample(name)).unwrap();
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        assert!(lines.len() > 3);
        for line in &lines {
            assert!(secrets.contains(line), "{line}");
        }
        assert!(secrets.contains(&&*lines.concat()));
    }
}

#[test]
fn the_text_of_a_key_is_not_shown() {
    let scene = Scene::new();
    let text = String::from_utf8(sample("rsa")).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &text);
    for value in [
        text.clone(),
        text.replace('\n', " "),
        format!("default={text}"),
        format!("\0default={text}\0keys/p256"),
        text.lines().skip(1).collect::<Vec<_>>().join("\n"),
        body.clone(),
        encoded.clone(),
        format!("a={encoded}"),
    ] {
        let clone = scene.path("clone");
        let mut findings = Findings::default();
        let places = Places::new(&clone, Some(clone.as_os_str()), &mut findings);
        let variables = SshVariables { ssh: Some(value) };
        let plan = read(&variables, None, &places, &mut findings);
        assert!(plan.agents.is_empty());
        let part = &body[100..140];
        assert!(
            !findings
                .shown(variables.ssh.as_deref().unwrap())
                .contains(part)
        );
        let error = findings.into_error().to_string();
        assert!(
            error.starts_with("SSH: contains a private key, not the path of one; "),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_value_panics(value in "(true|[a-c/.]{0,4}=?|\0|\n|,|keys/p256|\\PC{0,3}){0,6}") {
        let scene = Scene::new();
        scene.outcome(&value, None);
    }
}
