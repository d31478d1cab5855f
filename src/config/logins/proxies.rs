//! Proxies for the steps of the Dockerfile, in Docker's `config.json`.
//!
//! `docker build` passes them as build arguments in upper and lower case (`ParseProxyConfig` of docker/cli's
//! `cli/config/configfile/file.go`). BuildKit sets them in `RUN` steps and keeps them out of the image and of the cache key.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::docker::{VARIABLE, contents, origin, place};
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::http::proxies::passwords;

/// The section for daemons without their own.
const DEFAULT_DAEMON: &str = "default";

/// Docker's address of a daemon if `DOCKER_HOST` is not set.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Members of a section, with their build arguments.
const MEMBERS: [(&str, [&str; 2]); 5] = [
    ("httpProxy", ["HTTP_PROXY", "http_proxy"]),
    ("httpsProxy", ["HTTPS_PROXY", "https_proxy"]),
    ("ftpProxy", ["FTP_PROXY", "ftp_proxy"]),
    ("noProxy", ["NO_PROXY", "no_proxy"]),
    ("allProxy", ["ALL_PROXY", "all_proxy"]),
];

/// A setting of a proxy: the names of its build arguments, and their value.
pub(in crate::config) type ProxyArgument = ([&'static str; 2], String);

/// Masks the passwords of all proxies in messages and in the log.
pub(super) fn keep_secrets(configuration: &Value, findings: &mut Findings) {
    let sections = configuration.get("proxies").and_then(Value::as_object);
    let sections = sections.into_iter().flat_map(Map::values);
    let settings = sections.filter_map(Value::as_object).flat_map(Map::values);
    for address in settings.filter_map(Value::as_str) {
        for password in passwords(address.trim()) {
            findings.keep_secret(password.expose_secret());
        }
    }
}

/// The proxies for builds with the daemon at `docker_host`. Reports a section that Docker would reject.
///
/// `value` is that of `DOCKER_CONFIG`. A file that cannot be read is reported with its logins.
pub(in crate::config) fn read(
    value: &str,
    docker_host: Option<&str>,
    directory: &Path,
    findings: &mut Findings,
) -> Vec<ProxyArgument> {
    let configuration = contents(value, directory);
    let host = docker_host.map_or(DEFAULT_HOST, str::trim);
    arguments(&configuration, host).unwrap_or_else(|name| {
        // No value is shown: it can contain a password.
        let file = origin(&place(value, directory));
        let problem = format!("{} in {file} is not valid", findings.shown(&name));
        let advice = "write `\"proxies\": {\"default\": {\"httpProxy\": \"http://HOST:PORT\"}}`, with `httpsProxy`, `ftpProxy`, `noProxy` \
                      and `allProxy` as further texts";
        findings.fault(Fault::new(VARIABLE, problem, advice));
        Vec::new()
    })
}

/// The settings for a daemon. An error is the path of an invalid member.
fn arguments(configuration: &Value, host: &str) -> Result<Vec<ProxyArgument>, String> {
    let sections = match configuration.get("proxies") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(sections) => sections.as_object().ok_or("proxies")?,
    };
    // Docker reads all sections, and rejects the file if one is invalid.
    for (name, section) in sections {
        let path = format!("proxies.{name}");
        let members = match section {
            Value::Null => continue,
            section => section.as_object().ok_or_else(|| path.clone())?,
        };
        let is_text = |value: &Value| value.is_string() || value.is_null();
        let mut known = MEMBERS.iter().map(|&(member, _)| member);
        if let Some(member) =
            known.find(|member| member_of(members, member).is_some_and(|value| !is_text(value)))
        {
            return Err(format!("{path}.{member}"));
        }
    }
    let section = sections.get(host).or_else(|| sections.get(DEFAULT_DAEMON));
    let Some(section) = section.and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let settings = MEMBERS.into_iter().filter_map(|(member, names)| {
        let value = member_of(section, member)?.as_str()?;
        (!value.is_empty()).then(|| (names, value.to_owned()))
    });
    Ok(settings.collect())
}

/// A member, whose case Go ignores.
fn member_of<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut members = members.iter();
    let found = members.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    /// The arguments of a configuration, and all faults.
    fn outcome(configuration: &Value, host: Option<&str>) -> (Vec<ProxyArgument>, String) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), configuration.to_string()).unwrap();
        let mut findings = Findings::default();
        let value = folder.path().to_str().unwrap();
        let read = read(value, host, folder.path(), &mut findings);
        (read, findings.into_error().to_string())
    }

    fn values(configuration: &Value, host: Option<&str>) -> Vec<(&'static str, String)> {
        let (arguments, faults) = outcome(configuration, host);
        assert_eq!(faults, "", "{configuration}");
        let values = arguments.into_iter();
        values.map(|([name, _], value)| (name, value)).collect()
    }

    #[test]
    fn the_section_of_the_daemon_takes_precedence_over_the_default() {
        let section = |host: &str| json!({ "httpProxy": format!("http://{host}:3128") });
        let configuration = json!({ "proxies": {
            "default": section("default"),
            "tcp://docker:2375": section("docker"),
            "unix:///var/run/docker.sock": section("socket"),
        }});
        for (host, proxy) in [
            (Some("tcp://docker:2375"), "docker"),
            (Some(" tcp://docker:2375\n"), "docker"),
            (Some("tcp://docker:2376"), "default"),
            (None, "socket"),
        ] {
            let expected = vec![("HTTP_PROXY", format!("http://{proxy}:3128"))];
            assert_eq!(values(&configuration, host), expected, "{host:?}");
        }
        let other = json!({ "proxies": { "tcp://docker:2375": section("docker") } });
        assert_eq!(values(&other, None), []);
    }

    #[test]
    fn every_setting_is_read_and_empty_ones_are_not() {
        let configuration = json!({ "proxies": { "default": {
            "httpProxy": "http://me:word@h:1",
            "HTTPSProxy": "h:2",
            "ftpProxy": "",
            "noProxy": "localhost,.example.com",
            "allProxy": "socks5://h:3",
            "other": { "of": "another version" },
        }}});
        let expected = [
            ("HTTP_PROXY", "http://me:word@h:1"),
            ("HTTPS_PROXY", "h:2"),
            ("NO_PROXY", "localhost,.example.com"),
            ("ALL_PROXY", "socks5://h:3"),
        ];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(values(&configuration, None), expected);
        for none in [
            json!({}),
            json!({ "proxies": null }),
            json!({ "proxies": {} }),
            json!({ "proxies": { "default": null } }),
            json!({ "proxies": { "default": { "httpProxy": null } } }),
        ] {
            assert_eq!(values(&none, None), []);
        }
    }

    #[test]
    fn an_invalid_section_is_reported_without_its_values() {
        for (proxies, path) in [
            (json!(["http://me:hunter2@h"]), "proxies"),
            (json!("http://me:hunter2@h"), "proxies"),
            (
                json!({ "default": "http://me:hunter2@h" }),
                "proxies.default",
            ),
            (json!({ "default": {}, "tcp://x": [] }), "proxies.tcp://x"),
            (
                json!({ "default": { "httpProxy": ["http://me:hunter2@h"] } }),
                "proxies.default.httpProxy",
            ),
            (
                json!({ "other": { "noProxy": ["hunter2"] } }),
                "proxies.other.noProxy",
            ),
            (
                json!({ "default": { "allProxy": 3128 } }),
                "proxies.default.allProxy",
            ),
        ] {
            let (arguments, faults) = outcome(&json!({ "proxies": proxies }), None);
            assert_eq!(arguments, [], "{path}");
            assert!(
                faults.starts_with(&format!("DOCKER_CONFIG: `{path}` in `")),
                "{faults}"
            );
            assert!(!faults.contains("hunter2"), "{faults}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_has_no_proxies() {
        let mut findings = Findings::default();
        let nowhere = Path::new("/nowhere");
        assert_eq!(read("config", None, nowhere, &mut findings), []);
        assert_eq!(read("{\"proxies\": []}", None, nowhere, &mut findings), []);
        assert!(findings.is_faultless());
    }

    #[test]
    fn the_passwords_of_all_proxies_are_masked() {
        let mut findings = Findings::default();
        let configuration = json!({ "proxies": {
            "default": { "httpProxy": "http://me:pass-one@h:1" },
            "tcp://x": { "noProxy": "a,b", "allProxy": " me:p%40ss-two@h:1" },
        }});
        keep_secrets(&configuration, &mut findings);
        let shown = findings.shown("pass-one p%40ss-two p@ss-two a,b");
        assert_eq!(shown, "`*** *** *** a,b`");
    }
}
