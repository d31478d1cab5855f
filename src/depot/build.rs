//! The life of a build at Depot: created once, finished once.
//!
//! A build that is not finished keeps its machines, which are billed, and is shown as running on its
//! page. `Drop` cannot await, so the pipe finishes the build in one place, on the common path of
//! success, failure and cancellation.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use super::api::Api;
use super::error::{ApiError, Code};
use super::messages::{
    AdditionalCredential, AdditionalTag, BuildError, BuildOptions, BuildResult, CreateBuildRequest,
    CreateBuildResponse, Empty, FinishBuildRequest, GetPullInfoRequest, GetPullInfoResponse,
};
use super::redact::Redacted;
use super::retry::Call;
use crate::text::shape;

/// The largest error message that is sent to the build's page.
const ERROR_LIMIT_BYTES: usize = 16 << 10;

/// A build that exists at Depot. Clones are the same build.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    pub(super) api: Api,
    pub(super) id: Arc<str>,
    /// Authorizes all calls after the creation. It has fewer permissions than the user's token.
    pub(super) token: Arc<SecretString>,
    url: Option<Arc<str>>,
    project_id: Arc<str>,
    saved: Arc<Saved>,
    loads_by_registry: bool,
}

/// The reference of a saved image, and the login to pull it.
#[derive(Debug)]
pub(crate) struct PullInfo {
    /// The image.
    pub(crate) reference: String,
    /// The user name of the login.
    pub(crate) username: String,
    /// The password, valid for this image only.
    pub(crate) password: SecretString,
}

impl Api {
    /// Queries where the image of a build can be pulled from, if the build saved it. `token` is the user's.
    pub(crate) async fn saved_image(
        &self,
        build_id: &str,
        token: &SecretString,
    ) -> Result<PullInfo, ApiError> {
        self.pull_info(build_id, token, Call::GET_SAVED_IMAGE).await
    }

    async fn pull_info(
        &self,
        build_id: &str,
        token: &SecretString,
        call: Call,
    ) -> Result<PullInfo, ApiError> {
        let request = GetPullInfoRequest {
            build_id: build_id.to_owned(),
        };
        let response: GetPullInfoResponse = self.unary(call, token, &request).await?;
        Ok(PullInfo {
            reference: response.reference,
            username: response.username,
            password: response.password.into(),
        })
    }
}

/// Where Depot keeps the image of a build, and the logins to push it there.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// References that the builder pushes the image to, in addition to the user's.
    pub(crate) references: Vec<String>,
    /// Host, user name and password for them, valid for this build.
    pub(crate) credentials: Vec<(String, String, SecretString)>,
}

impl Saved {
    /// A login that cannot be parsed is skipped: the push reports the missing one.
    pub(crate) fn new(tags: Vec<AdditionalTag>, credentials: Vec<AdditionalCredential>) -> Self {
        let login = |credential: AdditionalCredential| {
            let decoded = STANDARD.decode(credential.token).ok()?;
            let decoded = String::from_utf8(decoded).ok()?;
            let (username, password) = decoded.split_once(':')?;
            Some((credential.host, username.to_owned(), password.into()))
        };
        let pushed = tags.into_iter().filter(|tag| tag.push);
        Self {
            references: pushed.map(|tag| tag.tag).collect(),
            credentials: credentials.into_iter().filter_map(login).collect(),
        }
    }
}

/// The result of a build, for Depot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The build and all its outputs succeeded.
    Success,
    /// The build failed, for this reason, which the build's page shows.
    Failure(Redacted),
    /// The build was canceled.
    Canceled,
}

impl Build {
    /// Creates a build in `project_id`, or in the only project of a project token.
    ///
    /// Retried after transient failures until `stopped` is ready. A running call is completed even then, because its build
    /// must be finished. If only the response is lost, a build without a machine remains at Depot; it cannot be finished,
    /// because its id is unknown.
    pub(crate) async fn create(
        api: Api,
        token: &SecretString,
        project_id: Option<String>,
        options: Vec<BuildOptions>,
        stopped: impl Future<Output = ()>,
    ) -> Result<Self, ApiError> {
        let request = CreateBuildRequest {
            project_id,
            options,
        };
        let creating = api.unary_until(Call::CREATE_BUILD, token, &request, stopped);
        let created: CreateBuildResponse = creating.await?;
        let invalid = invalid_field(&created);
        let build = Self::new(api, created);
        if let Some(field) = invalid {
            let error = ApiError::Unusable {
                method: Call::CREATE_BUILD.method,
                field,
            };
            // The build exists nevertheless, and in a protobuf message such values do no harm.
            let text = Redacted::literal("invalid response to CreateBuild");
            let _best_effort = build.finish(Outcome::Failure(text)).await;
            return Err(error);
        }
        Ok(build)
    }

    fn new(api: Api, created: CreateBuildResponse) -> Self {
        let url = created.build_url;
        let has_page = shape::is_page(&url);
        if !has_page && !url.is_empty() {
            tracing::warn!("Depot returned an invalid address of the build's page; it is omitted");
        }
        Self {
            api,
            id: created.build_id.into(),
            token: Arc::new(created.build_token.into()),
            url: has_page.then(|| url.into()),
            project_id: created.project_id.into(),
            saved: Arc::new(Saved::new(
                created.additional_tags,
                created.additional_credentials,
            )),
            loads_by_registry: created
                .registry
                .is_some_and(|registry| registry.load_using_registry),
        }
    }

    /// The limit for [`Self::finish`], retries included.
    pub(crate) const FINISH_LIMIT: Duration = Call::FINISH_BUILD.policy.total;

    /// The build's id.
    #[must_use]
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The secrets of this build, to be masked in the log: its token, and the passwords of [`Self::saved`].
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let logins = self.saved.credentials.iter();
        std::iter::once(&*self.token).chain(logins.map(|(_, _, password)| password))
    }

    /// The address of the build's page, if Depot returned a valid one.
    #[must_use]
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The id of the build's project, from Depot's response.
    #[must_use]
    pub(crate) fn project_id(&self) -> &str {
        &self.project_id
    }

    /// Whether Depot requests that the image is saved, and that a daemon loads it by a pull from there.
    #[must_use]
    pub(crate) fn loads_by_registry(&self) -> bool {
        self.loads_by_registry
    }

    /// Queries where the saved image can be pulled from. `token` is the user's.
    pub(crate) async fn pull_info(&self, token: &SecretString) -> Result<PullInfo, ApiError> {
        let call = Call::GET_PULL_INFO;
        self.api.pull_info(&self.id, token, call).await
    }

    /// Where Depot keeps the image. Empty unless the build saves the image, or loads it from Depot's registry.
    #[must_use]
    pub(crate) fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Reports the result of the build to Depot, within [`Self::FINISH_LIMIT`], retries included.
    pub(crate) async fn finish(&self, outcome: Outcome) -> Result<(), ApiError> {
        let result = match outcome {
            Outcome::Success => BuildResult::Success(Empty {}),
            Outcome::Canceled => BuildResult::Canceled(Empty {}),
            Outcome::Failure(error) => BuildResult::Error(BuildError {
                error: shorten(error.into_text()),
            }),
        };
        let request = FinishBuildRequest {
            build_id: self.id.to_string(),
            result: Some(result),
        };
        let call = self.api.unary(Call::FINISH_BUILD, &self.token, &request);
        let response: Result<Empty, _> = call.await;
        match response {
            // The build is already finished, usually by an earlier attempt whose response was lost.
            Err(error) if error.code() == Some(&Code::FailedPrecondition) => Ok(()),
            response => response.map(|_| ()),
        }
    }
}

/// The first invalid value of the response. These values are used in requests and in files of the pipeline.
fn invalid_field(created: &CreateBuildResponse) -> Option<&'static str> {
    if !shape::is_id(&created.build_id) {
        Some("build id")
    } else if !shape::is_token(&created.build_token) {
        Some("build token")
    } else if !created.project_id.is_empty() && !shape::is_id(&created.project_id) {
        Some("project id")
    } else {
        None
    }
}

/// Cuts a text at [`ERROR_LIMIT_BYTES`], between characters.
fn shorten(mut text: String) -> String {
    if text.len() > ERROR_LIMIT_BYTES {
        text.truncate(text.floor_char_boundary(ERROR_LIMIT_BYTES));
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn logins_are_parsed_and_invalid_ones_are_skipped() {
        let credential = |token: &str| AdditionalCredential {
            host: "registry.example".into(),
            token: token.into(),
        };
        let tag = |tag: &str, push| AdditionalTag {
            tag: tag.into(),
            push,
        };
        let tokens = [
            STANDARD.encode("x-token:a:b"),
            "!".into(),
            STANDARD.encode("x"),
        ];
        let saved = Saved::new(
            vec![tag("registry.example/p:1", true), tag("elsewhere/p", false)],
            tokens.iter().map(|token| credential(token)).collect(),
        );
        assert_eq!(saved.references, ["registry.example/p:1"]);
        let [(host, username, password)] = &saved.credentials[..] else {
            panic!("{saved:?}");
        };
        assert_eq!(
            (host.as_str(), username.as_str(), password.expose_secret()),
            ("registry.example", "x-token", "a:b")
        );
    }

    #[test]
    fn invalid_ids_and_tokens_are_rejected() {
        let good = || CreateBuildResponse {
            build_id: "k3x9".into(),
            build_token: "depot_bt_1".into(),
            project_id: "p1".into(),
            ..CreateBuildResponse::default()
        };
        assert_eq!(invalid_field(&good()), None);
        for bad in [
            "../../x",
            "a\nDEPOT_BUILD_IMAGE='evil'",
            "a b",
            "..",
            &"x".repeat(9000),
        ] {
            let (mut id, mut token, mut project) = (good(), good(), good());
            id.build_id = bad.into();
            project.project_id = bad.into();
            token.build_token = "a\r\nb".into();
            assert_eq!(invalid_field(&id), Some("build id"), "{bad:?}");
            assert_eq!(invalid_field(&project), Some("project id"), "{bad:?}");
            assert_eq!(invalid_field(&token), Some("build token"));
        }
        let empty = CreateBuildResponse {
            build_id: String::new(),
            ..good()
        };
        assert_eq!(invalid_field(&empty), Some("build id"));
    }

    #[test]
    fn an_invalid_page_address_is_omitted() {
        let tls =
            crate::http::roots::client_config(&crate::http::roots::Authorities::default()).unwrap();
        let api = Api::new(
            url::Url::parse("http://localhost:1").unwrap(),
            tls,
            &crate::http::proxies::Proxies::default(),
        )
        .unwrap();
        let url = |url: &str| {
            let created = CreateBuildResponse {
                build_url: url.into(),
                ..CreateBuildResponse::default()
            };
            Build::new(api.clone(), created).url().map(str::to_owned)
        };
        let good = "https://depot.dev/builds/1";
        assert_eq!(url(good).as_deref(), Some(good));
        for bad in ["", "javascript:alert(1)", "https://depot.dev/\nNEXT='x'"] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let cut = shorten("é".repeat(ERROR_LIMIT_BYTES));
        assert!(cut.len() <= ERROR_LIMIT_BYTES + 4);
        assert!(cut.ends_with("é …"));
        assert_eq!(shorten("short".into()), "short");
    }
}
