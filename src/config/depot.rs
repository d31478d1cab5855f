//! Access to Depot: the token, the project, and the address of the API.

use std::path::Path;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::fault::Fault;
use super::findings::Findings;
use super::project::{self, ProjectSource};
use super::table::DEFAULT_API_URL;
use super::warning::Warning;
use crate::bitbucket::secured_variable;
use crate::http::zones::{Zone, named_zone};

/// The variables for Depot.
#[derive(Default, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`envy` finds variables by the names of fields"
)]
pub(super) struct DepotVariables {
    pub(super) depot_token: Option<String>,
    pub(super) depot_project_id: Option<String>,
    pub(super) depot_api_url: Option<String>,
}

/// Access to Depot.
#[derive(Debug, Clone)]
pub(crate) struct DepotPlan {
    /// The token for the first call. Visible ASCII, so that it is valid in a header.
    pub(crate) token: SecretString,
    /// The project's id. Only Depot can check that it exists.
    pub(crate) project_id: String,
    /// The source of the id.
    pub(crate) project_source: ProjectSource,
    /// The API's address: http or https, without login, query and fragment, ending in `/`.
    pub(crate) api_url: Url,
}

impl DepotPlan {
    /// Reads the variables, and project files next to the context and the Dockerfile. `None` after a fault.
    pub(super) fn read(
        variables: DepotVariables,
        context: &Path,
        dockerfile: &Path,
        findings: &mut Findings,
    ) -> Option<Self> {
        let project_id = variables.depot_project_id.clone();
        Self::of_project(variables, findings, |findings| {
            project::read(project_id.as_deref(), context, dockerfile, findings)
        })
    }

    /// Reads the variables of a run whose targets name their projects. `project_id` is that of the first. `None` after a fault.
    pub(super) fn of_definition(
        variables: DepotVariables,
        project_id: String,
        findings: &mut Findings,
    ) -> Option<Self> {
        Self::of_project(variables, findings, |_| {
            Some((project_id, ProjectSource::Definition))
        })
    }

    fn of_project(
        variables: DepotVariables,
        findings: &mut Findings,
        project: impl FnOnce(&mut Findings) -> Option<(String, ProjectSource)>,
    ) -> Option<Self> {
        let token = token(variables.depot_token, findings);
        let project = project(findings);
        let api_url = api_url(variables.depot_api_url.as_deref(), findings);
        let (project_id, project_source) = project?;
        Some(Self {
            token: token?,
            project_id,
            project_source,
            api_url: api_url?,
        })
    }
}

const TOKEN_ADVICE: &str = "set it to a token of your Depot project";
const API_URL: &str = "DEPOT_API_URL";

/// The hint for a missing or invalid token.
fn token_hint() -> String {
    format!(
        "{}; the pipe then reads it by itself. If your variable has another name, write\n  variables:\n    DEPOT_TOKEN: \
         $NAME_OF_YOUR_VARIABLE",
        secured_variable("DEPOT_TOKEN")
    )
}

/// The token, which is valid in an HTTP header.
pub(super) fn token(value: Option<String>, findings: &mut Findings) -> Option<SecretString> {
    let Some(value) = value else {
        findings.fault(Fault::new("DEPOT_TOKEN", "not set", TOKEN_ADVICE).with_hint(token_hint()));
        return None;
    };
    let token = value.trim();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "contains white space or other characters that are not allowed in a token";
        findings.fault(Fault::new("DEPOT_TOKEN", problem, TOKEN_ADVICE).with_hint(token_hint()));
        return None;
    }
    Some(SecretString::from(token))
}

/// The address of the API. It ends with `/`, so that the path of a method can be joined to it.
pub(super) fn api_url(value: Option<&str>, findings: &mut Findings) -> Option<Url> {
    let text = value.map_or(DEFAULT_API_URL, str::trim);
    match checked_url(text) {
        Ok(url) => {
            if url.scheme() == "http" && named_zone(&url) != Zone::ThisMachine {
                let host = url.host_str().unwrap_or_default().to_owned();
                let host = findings.masked(&host);
                findings.warn(Warning::UnencryptedApi { host });
            }
            Some(url)
        }
        Err(problem) => {
            let problem = format!("{} {problem}", findings.shown(text));
            findings.fault(Fault::new(
                API_URL,
                problem,
                format!("write an address such as `{DEFAULT_API_URL}`"),
            ));
            None
        }
    }
}

fn checked_url(text: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(text).map_err(|_| "is not an address")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("does not start with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user name or a password, but only DEPOT_TOKEN is used");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_is_trimmed_and_visible_ascii() {
        let read = |value: &str| token(Some(value.into()), &mut Findings::default());
        assert_eq!(
            read(" depot_project_1f-./+=\n")
                .map(|token| token.expose_secret().to_owned())
                .as_deref(),
            Some("depot_project_1f-./+=")
        );
        for value in ["a b", "a\nb", "ä", "a\u{7f}"] {
            assert!(read(value).is_none(), "{value:?}");
        }
    }

    #[test]
    fn an_invalid_token_is_reported_without_its_value() {
        let mut findings = Findings::default();
        assert!(token(Some("hunter2 hunter3".into()), &mut findings).is_none());
        assert!(token(None, &mut findings).is_none());
        let error = findings.into_error();
        assert_eq!(
            error.to_string(),
            "DEPOT_TOKEN: contains white space or other characters that are not allowed in a token; set it to a token of your Depot project\n\
             DEPOT_TOKEN: not set; set it to a token of your Depot project"
        );
        assert_eq!(error.hint(), Some(&*token_hint()));
    }

    #[test]
    fn an_api_address_has_a_scheme_and_a_host() {
        for (value, expected) in [
            (None, "https://api.depot.dev/"),
            (Some("https://api.example.com"), "https://api.example.com/"),
            (
                Some(" HTTPS://API.example.com:8443/v1 "),
                "https://api.example.com:8443/v1/",
            ),
            (Some("http://127.0.0.1:4000"), "http://127.0.0.1:4000/"),
            (Some("http://[::1]:4000/"), "http://[::1]:4000/"),
            (Some("http://localhost"), "http://localhost/"),
        ] {
            let mut findings = Findings::default();
            let url = api_url(value, &mut findings).map(String::from);
            assert_eq!(url.as_deref(), Some(expected));
            assert_eq!(findings.into_warnings(), []);
        }
    }

    #[test]
    fn an_invalid_api_address_is_reported_without_its_login() {
        for (value, problem) in [
            (
                "api.depot.dev",
                "DEPOT_API_URL: `api.depot.dev` is not an address; write an address such as `https://api.depot.dev`",
            ),
            ("https://", "DEPOT_API_URL: `https://` is not an address; "),
            (
                "localhost:4000",
                "DEPOT_API_URL: `localhost:4000` does not start with https:// or http://; ",
            ),
            (
                "ftp://example.com",
                "DEPOT_API_URL: `ftp://example.com` does not start with https:// or",
            ),
            (
                "https://me:word@example.com",
                "DEPOT_API_URL: `***@example.com` contains a user name or a password",
            ),
            (
                "https://me@example.com",
                "DEPOT_API_URL: `***@example.com` contains a user name or a password",
            ),
            (
                "https://example.com/?a=b",
                "DEPOT_API_URL: `https://example.com/?a=b` has a query or a fragment; ",
            ),
            (
                "https://example.com/#a",
                "DEPOT_API_URL: `https://example.com/#a` has a query or a fragment; ",
            ),
        ] {
            let mut findings = Findings::default();
            assert_eq!(api_url(Some(value), &mut findings), None);
            let error = findings.into_error().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    #[test]
    fn an_unencrypted_connection_to_another_machine_causes_a_warning() {
        let mut findings = Findings::default();
        assert!(api_url(Some("http://api.example.com"), &mut findings).is_some());
        assert_eq!(
            findings.into_warnings(),
            [Warning::UnencryptedApi {
                host: "api.example.com".into()
            }]
        );
    }
}
