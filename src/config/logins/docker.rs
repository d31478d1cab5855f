//! Logins in Docker's `config.json`.
//!
//! `docker login` writes them under `auths`, in base64. With a credential helper, the file contains only the name of a program.
//! Such programs do not exist in the pipe's image, so they are reported.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::precedence::{Match, is_hostname, precedence};
use super::{is_same, pair, proxies};
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::warning::Warning;
use crate::io::bounded_file;
use crate::registry::credentials::{Credential, canonical_host};
use crate::registry::ecr::EcrHost;
use crate::registry::reference::Reference;

pub(super) const VARIABLE: &str = "DOCKER_CONFIG";
const FILE: &str = "config.json";

/// Larger than any such file.
const SIZE_LIMIT_BYTES: u64 = 1 << 20;

/// The logins of a Docker configuration.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) logins: Vec<Credential>,
    /// Hosts with a credential helper, and its name. An empty host stands for all others.
    pub(super) helpers: Vec<(String, String)>,
    /// Hosts with an empty entry: their logins are in a credential helper.
    pub(super) empty: Vec<String>,
}

/// Reads the file at the path `value`, or the one in that directory.
pub(super) fn read(value: &str, directory: &Path, findings: &mut Findings) -> Configuration {
    if is_content(value) {
        let problem = "contains the configuration itself instead of a path";
        let advice = "write it to a file in an earlier line of the script, and set DOCKER_CONFIG to the path of that file";
        findings.fault(Fault::new(VARIABLE, problem, advice));
        return Configuration::default();
    }
    let path = place(value, directory);
    let text = match bounded_file::read_text(&path, SIZE_LIMIT_BYTES) {
        Ok(text) => text,
        Err(error) => {
            let shown = findings.shown(&path.display().to_string());
            let problem = format!("{shown} cannot be read: {error}");
            let advice = "write the path of a directory in the clone that contains `config.json`";
            findings.fault(Fault::new(VARIABLE, problem, advice));
            return Configuration::default();
        }
    };
    let Ok(Value::Object(json)) = serde_json::from_str(&text) else {
        // Neither the text nor the error is shown: both can contain a password.
        let shown = findings.shown(&path.display().to_string());
        let problem = format!("{shown} is not a JSON object");
        let advice = "use the file that `docker login` writes";
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
        // Unused entries are checked too: Docker rejects the whole file if one is invalid.
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

/// Masks every password of the file in messages and in the log. Invalid content is reported by [`read`].
pub(super) fn keep_secrets(value: &str, directory: &Path, findings: &mut Findings) {
    if is_content(value) {
        findings.keep_secret(value);
        return;
    }
    let json = contents(value, directory);
    proxies::keep_secrets(&json, findings);
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

/// The configuration; null if it cannot be read. Faults are reported by [`read`].
pub(super) fn contents(value: &str, directory: &Path) -> Value {
    if is_content(value) {
        return Value::Null;
    }
    let text = bounded_file::read_text(&place(value, directory), SIZE_LIMIT_BYTES);
    serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default()
}

/// Whether this is the content of a configuration, as it is or in base64. Such a value is never shown.
fn is_content(value: &str) -> bool {
    let is_json = |text: &str| text.trim_start().starts_with('{');
    let packed: String = value.split_whitespace().collect();
    let unpacked = STANDARD.decode(packed).unwrap_or_default();
    is_json(value) || String::from_utf8(unpacked).is_ok_and(|text| is_json(&text))
}

/// The configuration, and the directories next to it in which Docker's client keeps keys. They may not exist.
pub(in crate::config) fn secret_files(value: &str, directory: &Path) -> Vec<PathBuf> {
    let file = place(value, directory);
    let others = ["contexts/tls", "trust/private"].map(|name| file.with_file_name(name));
    std::iter::once(file).chain(others).collect()
}

/// The path of the configuration. `DOCKER_CONFIG` is this path or its directory.
pub(super) fn place(value: &str, directory: &Path) -> PathBuf {
    let path = directory.join(value.trim());
    if path.is_dir() { path.join(FILE) } else { path }
}

fn of_file<'a>(configuration: &'a Configuration, host: &str) -> Option<&'a Credential> {
    let mut logins = configuration.logins.iter();
    logins.find(|login| login.host() == host)
}

/// One entry; `None` for an empty one, whose login is in a credential helper.
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
        return Some(credential.with_origin(origin));
    }
    let (username, password) = match (text("auth"), text("username"), text("password")) {
        (Some(auth), ..) => {
            findings.keep_secret(auth);
            let Some(login) = decoded(auth) else {
                let shown = findings.shown(address);
                let problem = format!("the entry {shown} of {origin} contains no login");
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
    Some(credential.with_origin(origin))
}

/// `user:password`. Old versions of Docker add a zero byte.
fn decoded(auth: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    let password = password.trim_end_matches('\0');
    (!username.is_empty() && !password.is_empty())
        .then(|| (username.to_owned(), password.to_owned()))
}

pub(super) fn origin(path: &Path) -> String {
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

/// Reports credential helpers: as a fault if the image cannot be pushed without their login, else as a warning.
///
/// The pipe obtains logins for Amazon ECR itself.
pub(super) fn report_helpers(
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
        let mut hosts = pushed.iter().map(|image| canonical_host(image.host()));
        if let Some(missing) = hosts.find(|image| is_its(image) && !has_login(image)) {
            let problem = format!(
                "gets the login for `{missing}` from the program {program}, which cannot run in the pipe"
            );
            let advice =
                "set that login in REGISTRIES, or in REGISTRY_USERNAME and REGISTRY_PASSWORD";
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
#[path = "docker_tests.rs"]
mod tests;
