//! The variables that name HTTP proxies. Nothing else reads them.

use super::environment::Environment;
use super::findings::Findings;
use super::values::is_given;
use super::warning::Warning;
use crate::proxies::Proxies;

/// Each variable in upper case, which comes first, and in lower case.
const VARIABLES: [[&str; 2]; 4] = [
    ["HTTPS_PROXY", "https_proxy"],
    ["HTTP_PROXY", "http_proxy"],
    ["ALL_PROXY", "all_proxy"],
    ["NO_PROXY", "no_proxy"],
];

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
        let values = names.iter().filter_map(|name| environment.lookup(name));
        let mut values = values.filter_map(|value| value.to_str());
        values
            .find(|value| is_given(value))
            .unwrap_or_default()
            .trim()
    });
    Proxies::new(https, http, all, no)
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
}
