//! The variables for HTTP proxies.

use std::ffi::OsStr;

use secrecy::ExposeSecret;

use super::environment::Environment;
use super::fault::Fault;
use super::findings::Findings;
use super::values::is_set;
use super::warning::Warning;
use crate::http::proxies::{Proxies, passwords};

/// Each variable in upper case, which comes first, and in lower case.
const VARIABLES: [[&str; 2]; 4] = [
    ["HTTPS_PROXY", "https_proxy"],
    ["HTTP_PROXY", "http_proxy"],
    ["ALL_PROXY", "all_proxy"],
    [NO_PROXY, "no_proxy"],
];

const NO_PROXY: &str = "NO_PROXY";

const ADVICE: &str = "write `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`, with `%23` for `#`, `%2F` for `/`, `%3F` for `?`, `%40` for \
     `@` and so on in the password";

/// Masks the passwords in messages and in the log. Called before the first message.
pub(super) fn keep_secrets(environment: &Environment, findings: &mut Findings) {
    for name in VARIABLES.iter().flatten() {
        let value = environment.lookup(name).and_then(OsStr::to_str);
        for password in passwords(value.unwrap_or_default().trim()) {
            findings.keep_secret(password.expose_secret());
        }
    }
}

/// Reads the proxies. A variable without a value, such as `$NAME` of an unset variable, is unset.
pub(super) fn read(environment: &Environment, findings: &mut Findings) -> Proxies {
    let [https, http, all, no] = VARIABLES.map(|names| {
        for variable in names {
            if let Some(unset) = environment.unset(variable)
                && !unset.eq_ignore_ascii_case(variable)
            {
                let unset = Some(unset.to_owned());
                findings.warn(Warning::UnsetReference { variable, unset });
            }
        }
        let values = names
            .iter()
            .filter_map(|name| Some((*name, environment.lookup(name)?.to_str()?)));
        let (name, value) = values
            .into_iter()
            .find(|(_, value)| is_set(value))
            .unwrap_or_default();
        let value = value.trim();
        if !value.is_empty() && !name.eq_ignore_ascii_case(NO_PROXY) && !is_usable(value) {
            // Not shown: it can contain a password.
            findings.fault(Fault::new(name, "is not the address of a proxy", ADVICE));
        }
        value
    });
    Proxies::new(https, http, all, no)
}

/// Whether requests would use a proxy at this address.
fn is_usable(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // The password has one of these characters, and its host would be a part of the login.
    let has_late_login = rest.get(end..).is_some_and(|rest| rest.contains('@'));
    !has_late_login && Proxies::new(address, "", "", "").is_usable()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> (Proxies, Findings) {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let mut findings = Findings::default();
        let environment = Environment::read(variables, &mut findings);
        keep_secrets(&environment, &mut findings);
        (read(&environment, &mut findings), findings)
    }

    fn address(variables: &[(&str, &str)]) -> Option<String> {
        let proxy = proxies(variables).0.tunnel("m1.depot.dev", 443)?;
        let login = proxy.authorization;
        let login = login.map(|login| format!("{} at ", login.expose_secret()));
        Some(login.unwrap_or_default() + &format!("{}:{}", proxy.host, proxy.port))
    }

    #[test]
    fn upper_case_comes_first() {
        let both = [
            ("https_proxy", "http://other:2"),
            ("HTTPS_PROXY", " proxy:1\n"),
        ];
        assert_eq!(address(&both).as_deref(), Some("proxy:1"));
        let lower = [("all_proxy", "http://me:pa%3Ass@lower:3")];
        let expected = Some("Basic bWU6cGE6c3M= at lower:3");
        assert_eq!(address(&lower).as_deref(), expected);
        let no = [("all_proxy", "lower:3"), ("no_proxy", "depot.dev")];
        assert_eq!(address(&no), None);
        assert_eq!(address(&[]), None);
    }

    #[test]
    fn a_variable_without_a_value_is_unset() {
        for unset in ["", " ", "$HTTPS_PROXY", "${HTTPS_PROXY}", " $https_proxy\n"] {
            assert_eq!(address(&[("HTTPS_PROXY", unset)]), None, "{unset:?}");
            let next = [("HTTPS_PROXY", unset), ("https_proxy", "proxy:1")];
            assert_eq!(address(&next).as_deref(), Some("proxy:1"), "{unset:?}");
            let last = [("https_proxy", unset), ("ALL_PROXY", "proxy:2")];
            assert_eq!(address(&last).as_deref(), Some("proxy:2"), "{unset:?}");
            let (_, findings) = proxies(&[("HTTPS_PROXY", unset)]);
            assert_eq!(findings.into_warnings().len(), 0, "{unset:?}");
        }
        let no = [("HTTPS_PROXY", "proxy:1"), ("NO_PROXY", "$NO_PROXY")];
        assert_eq!(address(&no).as_deref(), Some("proxy:1"));
        let (_, findings) = proxies(&[("HTTP_PROXY", "$COMPANY_PROXY")]);
        let warnings = findings.into_warnings();
        assert_eq!(
            warnings,
            [Warning::UnsetReference {
                variable: "HTTP_PROXY",
                unset: Some("COMPANY_PROXY".into())
            }]
        );
    }

    #[test]
    fn an_address_that_cannot_be_used_is_a_fault_without_its_password() {
        for value in [
            "socks5://me:hunter22@proxy:1080",
            "http://me:hunter#22@proxy:3128",
            "http://me:hunter/22@proxy:3128",
            "http://me:hunter?22@proxy:3128",
            "http://me:hunter 22@proxy:3128",
            "http://me:hunter\\22@proxy:3128",
            "http://me:12#hunter22@proxy:3128",
            "me:hunter#22@proxy:3128",
            "http://",
            "proxy:port",
        ] {
            for name in ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"] {
                let (_, mut findings) = proxies(&[(name, value)]);
                let password = value.rsplit_once('@').map_or("", |(login, _)| login);
                let password = password
                    .rsplit_once("me:")
                    .map_or("", |(_, password)| password);
                findings.fault(Fault::new("OTHER", findings.shown(password), "change it"));
                let error = findings.into_error().to_string();
                assert!(
                    error.starts_with(&format!("{name}: is not the address of a proxy; ")),
                    "{value}: {error}"
                );
                assert!(!error.contains("hunter"), "{error}");
            }
        }
        for value in [
            "http://me:hunter%2322@proxy:3128",
            "http://me:hunter@22@proxy:3128",
            "proxy",
            "proxy:3128",
            "https://proxy/",
            "http://[::1]:3128",
        ] {
            let (_, findings) = proxies(&[("HTTPS_PROXY", value)]);
            assert!(findings.is_faultless(), "{value}");
        }
        // Not an address.
        let (_, findings) = proxies(&[("NO_PROXY", "a.example, .b.example, *")]);
        assert!(findings.is_faultless());
    }
}
