//! The life of a build at Depot: created once, finished once.
//!
//! A build that is not finished keeps its machines, which somebody pays for, and stands as running
//! on its page. `Drop` cannot await, so finishing stands in one place of the pipe where success,
//! failure and cancelling all come by.

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
use crate::shape;

/// The largest error text that is sent for the build's page.
const ERROR_LIMIT_BYTES: usize = 16 << 10;

/// A build that exists at Depot. Clones are the same build.
#[derive(Clone, Debug)]
pub struct Build {
    pub(super) api: Api,
    pub(super) id: Arc<str>,
    /// Authorizes everything after the creation; it may do less than the user's own token.
    pub(super) token: Arc<SecretString>,
    url: Option<Arc<str>>,
    project_id: Arc<str>,
    saved: Arc<Saved>,
    loads_by_registry: bool,
}

/// Where a saved image can be pulled from.
#[derive(Debug)]
pub struct PullInfo {
    /// The image.
    pub reference: String,
    /// Whose login it is.
    pub username: String,
    /// Good for this image only.
    pub password: SecretString,
}

/// Where Depot keeps the image of a build, and who may put it there.
#[derive(Debug, Default)]
pub struct Saved {
    /// References that the builder is to push the image to, beside the user's own.
    pub references: Vec<String>,
    /// Host, user name and password for them, good for this build.
    pub credentials: Vec<(String, String, SecretString)>,
}

impl Saved {
    /// A login that cannot be read is left out: the push will say what it lacks.
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

/// How a build ended, as Depot is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was asked for was done.
    Success,
    /// It failed, for this reason, which stands on the build's page.
    Failure(Redacted),
    /// It was stopped.
    Canceled,
}

impl Build {
    /// Creates a build in `project_id`, or in the only project of a project token.
    ///
    /// Repeated on transient failures, until `stopped`: a call that is under way then is still waited for, since its build
    /// must be finished. Where only the answer got lost, a build stays behind that never asks for a machine and
    /// whose id nobody knows; it cannot be finished from here.
    pub async fn create(
        api: Api,
        token: &SecretString,
        project_id: Option<String>,
        options: BuildOptions,
        stopped: impl Future<Output = ()>,
    ) -> Result<Self, ApiError> {
        let request = CreateBuildRequest {
            project_id,
            options: vec![options],
        };
        let creating = api.unary_until(Call::CREATE_BUILD, token, &request, stopped);
        let created: CreateBuildResponse = creating.await?;
        let unusable = unusable(&created);
        let build = Self::new(api, created);
        if let Some(what) = unusable {
            let error = ApiError::Unusable {
                method: Call::CREATE_BUILD.method,
                what,
            };
            // It exists all the same, and these values are no harm in a message of the protocol.
            let text = Redacted::literal("the answer to CreateBuild cannot be used");
            let _best_effort = build.finish(Outcome::Failure(text)).await;
            return Err(error);
        }
        Ok(build)
    }

    fn new(api: Api, created: CreateBuildResponse) -> Self {
        let url = created.build_url;
        let has_page = shape::is_page(&url);
        if !has_page && !url.is_empty() {
            tracing::warn!(
                "the address of the build's page is left out: Depot returned none that can be shown"
            );
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

    /// How long Depot is told of the end of a build.
    pub const FINISH_LIMIT: Duration = Call::FINISH_BUILD.patience.limit;

    /// The build's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What came with this build and has to be kept out of the log: its token, and the logins of [`Self::saved`].
    pub fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let logins = self.saved.credentials.iter();
        std::iter::once(&*self.token).chain(logins.map(|(_, _, password)| password))
    }

    /// The build's page, if Depot named one that can be shown.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The project that the build belongs to, as Depot answered.
    #[must_use]
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// Whether Depot would have the image saved, and a daemon that is to have it pull it from there.
    #[must_use]
    pub fn loads_by_registry(&self) -> bool {
        self.loads_by_registry
    }

    /// Asks where the saved image can be pulled from. `token` is the user's own.
    pub async fn pull_info(&self, token: &SecretString) -> Result<PullInfo, ApiError> {
        let request = GetPullInfoRequest {
            build_id: self.id.to_string(),
        };
        let answer = self.api.unary(Call::GET_PULL_INFO, token, &request);
        let answer: GetPullInfoResponse = answer.await?;
        Ok(PullInfo {
            reference: answer.reference,
            username: answer.username,
            password: answer.password.into(),
        })
    }

    /// Where Depot keeps the image; empty unless the build was created to be saved, or to be loaded from there.
    #[must_use]
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Tells Depot how the build ended, within [`Self::FINISH_LIMIT`] however often that is tried.
    pub async fn finish(&self, outcome: Outcome) -> Result<(), ApiError> {
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
        let answer: Result<Empty, _> = call.await;
        match answer {
            // It is finished already: mostly by an earlier try of ours whose answer got lost. Whoever
            // else did it, there is nothing left to tell.
            Err(error) if error.code() == Some(&Code::FailedPrecondition) => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

/// Which value of the answer is not what it should be. They go into requests and into files of the pipeline.
fn unusable(created: &CreateBuildResponse) -> Option<&'static str> {
    if !shape::is_id(&created.build_id) {
        Some("id of the build")
    } else if !shape::is_token(&created.build_token) {
        Some("token of the build")
    } else if !created.project_id.is_empty() && !shape::is_id(&created.project_id) {
        Some("id of the project")
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
    fn logins_are_read_and_those_that_are_none_left_out() {
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
    fn ids_and_tokens_that_are_none_are_not_used() {
        let good = || CreateBuildResponse {
            build_id: "k3x9".into(),
            build_token: "depot_bt_1".into(),
            project_id: "p1".into(),
            ..CreateBuildResponse::default()
        };
        assert_eq!(unusable(&good()), None);
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
            assert_eq!(unusable(&id), Some("id of the build"), "{bad:?}");
            assert_eq!(unusable(&project), Some("id of the project"), "{bad:?}");
            assert_eq!(unusable(&token), Some("token of the build"));
        }
        let empty = CreateBuildResponse {
            build_id: String::new(),
            ..good()
        };
        assert_eq!(unusable(&empty), Some("id of the build"));
    }

    #[test]
    fn an_address_that_cannot_be_shown_is_left_out() {
        let tls = crate::roots::client_config(&crate::roots::Authorities::default()).unwrap();
        let api = Api::new(
            url::Url::parse("http://localhost:1").unwrap(),
            tls,
            &crate::proxies::Proxies::default(),
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
