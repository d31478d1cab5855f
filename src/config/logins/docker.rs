//! Logins out of Docker's own `config.json`.
//!
//! A file that `docker login` wrote holds them under `auths`, in base64. Where it was told to keep them elsewhere it names
//! a program that fetches them, and there is none in an image that holds nothing but us: those are told.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::precedence::{Match, is_hostname, precedence};
use super::{is_same, pair};
use crate::config::{fault::Fault, findings::Findings, warning::Warning};
use crate::io::bounded_file;
use crate::registry::credentials::{Credential, canonical_host};
use crate::registry::ecr::EcrHost;
use crate::registry::reference::Reference;

const VARIABLE: &str = "DOCKER_CONFIG";
const FILE: &str = "config.json";

/// No such file is larger; what is larger is something else.
const SIZE_LIMIT_BYTES: u64 = 1 << 20;

/// What a Docker configuration says of registries.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) logins: Vec<Credential>,
    /// Hosts whose logins a program would have to fetch, with its name; the host is empty for "all others".
    pub(super) helpers: Vec<(String, String)>,
    /// Hosts that somebody has logged in to, with the login kept elsewhere.
    pub(super) empty: Vec<String>,
}

/// Reads the file, or the file in the folder, that `value` names.
pub(super) fn read(value: &str, directory: &Path, findings: &mut Findings) -> Configuration {
    if is_content(value) {
        let problem = "holds a configuration, and takes the path of one";
        let advice =
            "write it to a file in an earlier line of the script, and give that file's path";
        findings.fault(Fault::new(VARIABLE, problem, advice));
        return Configuration::default();
    }
    let path = place(value, directory);
    let text = match bounded_file::read_text(&path, SIZE_LIMIT_BYTES) {
        Ok(text) => text,
        Err(error) => {
            let shown = findings.shown(&path.display().to_string());
            let problem = format!("{shown} cannot be read: {error}");
            let advice = "write the path of the folder that holds `config.json`, in the clone";
            findings.fault(Fault::new(VARIABLE, problem, advice));
            return Configuration::default();
        }
    };
    let Ok(Value::Object(json)) = serde_json::from_str(&text) else {
        // Neither the text nor the reader's words are shown: both may hold a password.
        let shown = findings.shown(&path.display().to_string());
        let problem = format!("{shown} is not a JSON object");
        let advice = "give the file that `docker login` writes";
        findings.fault(Fault::new(VARIABLE, problem, advice));
        return Configuration::default();
    };
    let section = |name: &str| json.get(name).and_then(Value::as_object);
    let mut configuration = Configuration::default();
    let mut entries: Vec<(&String, &Value)> = section("auths").into_iter().flatten().collect();
    entries.sort_by_key(|(address, _)| precedence(address));
    let mut chosen: HashMap<String, (&String, Option<Credential>)> = HashMap::new();
    for (address, entry) in entries {
        let host = canonical_host(address);
        // Also of an entry that is not used: Docker refuses the whole file if one is broken.
        let login = login(address, entry, &path, findings);
        if let Some((used, used_login)) = chosen.get(&host) {
            let is_same = match (used_login, &login) {
                (Some(one), Some(other)) => is_same(one, other),
                (one, other) => one.is_none() && other.is_none(),
            };
            if !is_same && precedence(used).0 == Match::Hostname && is_hostname(address, &host) {
                findings.warn(Warning::TwoLogins {
                    used: entry_origin(used, &path, findings),
                    ignored: entry_origin(address, &path, findings),
                    host,
                });
            }
            continue;
        }
        if entry.as_object().is_none_or(Map::is_empty) {
            configuration.empty.push(host.clone());
        }
        configuration.logins.extend(login.clone());
        chosen.insert(host, (address, login));
    }
    let helper = |program: &Value| program.as_str().unwrap_or_default().to_owned();
    for (host, program) in section("credHelpers").into_iter().flatten() {
        configuration
            .helpers
            .push((canonical_host(host), helper(program)));
    }
    if let Some(program) = json.get("credsStore") {
        configuration.helpers.push((String::new(), helper(program)));
    }
    configuration
}

fn entry_origin(address: &str, path: &Path, findings: &Findings) -> String {
    format!("the entry {} of {}", findings.shown(address), origin(path))
}

/// Keeps every password of the file out of what is said from here on. What cannot be read is told by [`read`].
pub(super) fn keep_secrets(value: &str, directory: &Path, findings: &mut Findings) {
    if is_content(value) {
        findings.keep_secret(value);
        return;
    }
    let text =
        bounded_file::read_text(&place(value, directory), SIZE_LIMIT_BYTES).unwrap_or_default();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let entries = json.get("auths").and_then(Value::as_object);
    for entry in entries.into_iter().flat_map(Map::values) {
        for name in ["auth", "password", "identitytoken", "registrytoken"] {
            let secret = entry.get(name).and_then(Value::as_str).unwrap_or_default();
            findings.keep_secret(secret);
            if let Some((_, password)) = decoded(secret) {
                findings.keep_secret(&password);
            }
        }
    }
}

/// Whether this is what the file should hold, as it is or in base64. Such a value is never shown.
fn is_content(value: &str) -> bool {
    let is_json = |text: &str| text.trim_start().starts_with('{');
    let packed: String = value.split_whitespace().collect();
    let unpacked = STANDARD.decode(packed).unwrap_or_default();
    is_json(value) || String::from_utf8(unpacked).is_ok_and(|text| is_json(&text))
}

/// The file that `DOCKER_CONFIG` names, itself or by its folder, and the folders beside it in which Docker's client keeps
/// keys. They need not exist.
pub(in crate::config) fn secret_files(value: &str, directory: &Path) -> Vec<PathBuf> {
    let file = place(value, directory);
    let beside = ["contexts/tls", "trust/private"].map(|name| file.with_file_name(name));
    std::iter::once(file).chain(beside).collect()
}

/// The file that `DOCKER_CONFIG` names, itself or by its folder.
fn place(value: &str, directory: &Path) -> PathBuf {
    let path = directory.join(value.trim());
    if path.is_dir() { path.join(FILE) } else { path }
}

fn of_file<'a>(configuration: &'a Configuration, host: &str) -> Option<&'a Credential> {
    let mut logins = configuration.logins.iter();
    logins.find(|login| login.host() == host)
}

/// One entry; `None` for the empty ones that Docker leaves where a program keeps the login.
fn login(address: &str, entry: &Value, path: &Path, findings: &mut Findings) -> Option<Credential> {
    let empty = Map::new();
    let entry = entry.as_object().unwrap_or(&empty);
    let text = |name: &str| {
        let value = entry.get(name).and_then(Value::as_str).unwrap_or_default();
        (!value.is_empty()).then_some(value)
    };
    let host = canonical_host(address);
    let origin = origin(path);
    if let Some(token) = text("identitytoken") {
        findings.keep_secret(token);
        let credential = Credential::with_identity_token(&host, token.into());
        return Some(credential.from_origin(origin));
    }
    let (username, password) = match (text("auth"), text("username"), text("password")) {
        (Some(auth), ..) => {
            findings.keep_secret(auth);
            let Some(login) = decoded(auth) else {
                let shown = findings.shown(address);
                let problem = format!("the entry {shown} of {origin} holds no login");
                let advice =
                    "`auth` must be `user:password` in base64, as `docker login` writes it";
                findings.fault(Fault::new(VARIABLE, problem, advice));
                return None;
            };
            login
        }
        (None, Some(username), Some(password)) => (username.to_owned(), password.to_owned()),
        _ => return None,
    };
    let names = (VARIABLE, VARIABLE);
    let credential = pair::credential(&host, &username, &password, names, findings)?;
    Some(credential.from_origin(origin))
}

/// `user:password`; Docker has written a zero byte behind some.
fn decoded(auth: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    let password = password.trim_end_matches('\0');
    (!username.is_empty() && !password.is_empty())
        .then(|| (username.to_owned(), password.to_owned()))
}

fn origin(path: &Path) -> String {
    let name: PathBuf = path
        .components()
        .rev()
        .take(2)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    format!("`{}`", name.display().to_string().escape_debug())
}

/// Tells of programs that would have to fetch a login: a fault where the image cannot be pushed without it.
///
/// Amazon's registries need no login: the pipe gets theirs itself.
pub(super) fn tell_of_helpers(
    configuration: &Configuration,
    logins: &[Credential],
    pushed: &[Reference],
    findings: &mut Findings,
) {
    let has_login = |host: &str| {
        EcrHost::parse(host).is_some() || logins.iter().any(|login| login.host() == host)
    };
    for (host, program) in &configuration.helpers {
        let program = findings.shown(program);
        let is_its = |image: &String| {
            image == host || (host.is_empty() && configuration.empty.contains(image))
        };
        let mut wanted = pushed.iter().map(|image| canonical_host(image.host()));
        if let Some(missing) = wanted.find(|image| is_its(image) && !has_login(image)) {
            let problem = format!(
                "leaves the login for `{missing}` to the program {program}, which cannot be run here"
            );
            let advice =
                "give that login in REGISTRIES, or in REGISTRY_USERNAME and REGISTRY_PASSWORD";
            findings.fault(Fault::new(VARIABLE, problem, advice));
        } else if host.is_empty() || !has_login(host) {
            findings.warn(Warning::CredentialHelper {
                host: host.clone(),
                program,
            });
        } else if let Some(login) = of_file(configuration, host)
            && logins
                .iter()
                .any(|used| is_same(used, login) && used.host() == host)
        {
            findings.warn(Warning::LoginBesideHelper {
                host: host.clone(),
                program,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use secrecy::ExposeSecret;

    use super::*;

    fn outcome(json: &str) -> (Vec<String>, Vec<(String, String)>, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), json).unwrap();
        let mut findings = Findings::default();
        let read = read(
            &folder.path().display().to_string(),
            Path::new("/"),
            &mut findings,
        );
        let shown = |login: &Credential| {
            let password = login.password().expose_secret();
            format!("{} {} {password}", login.host(), login.username())
        };
        let logins = read.logins.iter().map(shown).collect();
        (logins, read.helpers, findings.into_error().to_string())
    }

    #[test]
    fn every_form_of_a_login_is_read() {
        let auth = STANDARD.encode("me:pass:word");
        let json = serde_json::json!({
            "auths": {
                "https://index.docker.io/v1/": { "auth": auth },
                "a.example": { "username": "u", "password": "p" },
                "b.example:5000": { "identitytoken": "refresh", "auth": STANDARD.encode("x:") },
                "kept.elsewhere": {},
            },
            "credHelpers": { "c.example": "ecr-login" },
            "credsStore": "desktop",
            "HttpHeaders": {},
        });
        let (logins, helpers, error) = outcome(&json.to_string());
        assert_eq!(
            logins,
            [
                "a.example u p",
                "b.example:5000  refresh",
                "docker.io me pass:word"
            ]
        );
        assert_eq!(error, "");
        let helpers: Vec<_> = helpers
            .iter()
            .map(|(host, program)| format!("{host} {program}"))
            .collect();
        assert_eq!(helpers, ["c.example ecr-login", " desktop"]);
    }

    /// The password that is used for a host of two entries, and how many warnings there are. Each entry's password is its name.
    fn chosen(entries: &[(&str, &str)]) -> (Vec<String>, usize) {
        let auths: Map<String, Value> = entries
            .iter()
            .map(|&(address, password)| {
                let entry = match password {
                    "" => serde_json::json!({}),
                    password => serde_json::json!({ "username": "u", "password": password }),
                };
                (address.to_owned(), entry)
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let json = serde_json::json!({ "auths": auths }).to_string();
        std::fs::write(folder.path().join(FILE), json).unwrap();
        let mut findings = Findings::default();
        let path = folder.path().display().to_string();
        let read = read(&path, Path::new("/"), &mut findings);
        let password = |login: &Credential| login.password().expose_secret().to_owned();
        let passwords = read.logins.iter().map(password).collect();
        (passwords, findings.into_error().warnings().len())
    }

    #[test]
    fn of_two_entries_for_one_host_docker_uses_the_exact_one() {
        let hub = "https://index.docker.io/v1/";
        for (entries, password) in [
            (
                [
                    ("https://registry.example/v1/", "old"),
                    ("registry.example", "exact"),
                ],
                Some("exact"),
            ),
            (
                [
                    ("http://a.example:5000", "old"),
                    ("a.example:5000", "exact"),
                ],
                Some("exact"),
            ),
            (
                [("a.example/v2/", "old"), ("a.example", "exact")],
                Some("exact"),
            ),
            (
                [("A.example", "old"), ("a.example", "exact")],
                Some("exact"),
            ),
            (
                [("https://z.example/", "old"), ("Z.example", "case")],
                Some("old"),
            ),
            ([("docker.io", "name"), (hub, "exact")], Some("exact")),
            ([("index.docker.io", "name"), (hub, "exact")], Some("exact")),
            (
                [("https://index.docker.io/v2/", "name"), (hub, "exact")],
                Some("exact"),
            ),
            // An exact entry without a login hides the others.
            (
                [
                    ("https://registry.example/v1/", "old"),
                    ("registry.example", ""),
                ],
                None,
            ),
            ([("docker.io", "name"), (hub, "")], None),
        ] {
            let (passwords, warnings) = chosen(&entries);
            let expected: Vec<String> = password.into_iter().map(str::to_owned).collect();
            assert_eq!((passwords, warnings), (expected, 0), "{entries:?}");
        }
        // None is exact, and Docker uses any.
        let (passwords, warnings) = chosen(&[
            ("https://a.example/v1/", "one"),
            ("http://a.example", "two"),
        ]);
        assert_eq!((passwords, warnings), (vec!["one".to_owned()], 1));
        let (passwords, _) = chosen(&[("docker.io", "name")]);
        assert_eq!(passwords, ["name"]);
    }

    #[test]
    fn what_is_wrong_with_the_file_is_told_without_its_content() {
        let (_, _, error) = outcome("hunter2");
        assert!(
            error.contains("is not a JSON object") && !error.contains("hunter2"),
            "{error}"
        );
        let (_, _, error) = outcome(r#"{"auths":{"a.example":{"auth":"hunter2!"}}}"#);
        assert!(
            error.contains("the entry `a.example`") && !error.contains("hunter2"),
            "{error}"
        );
        let mut findings = Findings::default();
        read("nowhere", Path::new("/"), &mut findings);
        let error = findings.into_error().to_string();
        assert!(
            error.starts_with("DOCKER_CONFIG: `/nowhere` cannot be read"),
            "{error}"
        );
        // Opening it would wait for a writer.
        let folder = tempfile::tempdir().unwrap();
        bounded_file::make_fifo(&folder.path().join(FILE));
        let mut findings = Findings::default();
        keep_secrets(".", folder.path(), &mut findings);
        read(".", folder.path(), &mut findings);
        let error = findings.into_error().to_string();
        assert!(
            error.contains("config.json` cannot be read: it is not a regular file"),
            "{error}"
        );
    }

    #[test]
    fn a_program_is_a_fault_only_where_its_login_is_needed() {
        let amazon = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        let told = |helper: &str, image: &str, logins: &[Credential]| {
            let configuration = Configuration {
                helpers: vec![(helper.to_owned(), "ecr-login".to_owned())],
                empty: vec!["d.example".to_owned()],
                ..Configuration::default()
            };
            let pushed = [Reference::parse(image).unwrap()];
            let mut findings = Findings::default();
            tell_of_helpers(&configuration, logins, &pushed, &mut findings);
            let error = findings.into_error();
            (error.faults().len(), error.warnings().len())
        };
        let login = Credential::new("c.example", "u".into(), "p".into());
        assert_eq!(told("c.example", "c.example/app:1", &[]), (1, 0));
        assert_eq!(told("c.example", "acme/app:1", &[]), (0, 1));
        assert_eq!(told("c.example", "c.example/app:1", &[login]), (0, 0));
        assert_eq!(told(amazon, &format!("{amazon}/app:1"), &[]), (0, 0));
        // Docker asks the program for it, though the file has a login.
        let login = Credential::new("c.example", "u".into(), "p".into());
        let configuration = Configuration {
            logins: vec![login.clone()],
            helpers: vec![("c.example".to_owned(), "ecr-login".to_owned())],
            ..Configuration::default()
        };
        let mut findings = Findings::default();
        tell_of_helpers(&configuration, &[login], &[], &mut findings);
        let warning = findings.into_error().warnings()[0].to_string();
        assert_eq!(
            warning,
            "DOCKER_CONFIG leaves the login for `c.example` to the program `ecr-login`, which cannot be run here: the login in \
             the file is used instead"
        );
        // Of "all others", those that somebody has logged in to.
        assert_eq!(told("", "d.example/app:1", &[]), (1, 0));
        assert_eq!(told("", "e.example/app:1", &[]), (0, 1));
    }

    #[test]
    fn a_configuration_in_place_of_its_path_is_never_shown() {
        let auth = STANDARD.encode("me:hunter2");
        let json = format!(r#"{{"auths":{{"a.example":{{"auth":"{auth}"}}}}}}"#);
        for value in [&json, &STANDARD.encode(&json)] {
            let mut findings = Findings::default();
            read(value, Path::new("/"), &mut findings);
            let error = findings.into_error().to_string();
            assert!(
                error.starts_with("DOCKER_CONFIG: holds a configuration"),
                "{error}"
            );
            assert!(!error.contains(&auth), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"([{}\[\]":,]|auths|auth|s3cret|null|1){0,16}"#) {
            let (_, _, error) = outcome(&text);
            prop_assert!(!error.contains("s3cret"));
        }
    }
}
