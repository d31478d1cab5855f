//! One solve: the request, its status, and the session that serves it, as one unit.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, SolveRequest, StatusRequest, StatusResponse,
};
use serde_json::Value;
use tokio::sync::mpsc;
use tonic::Status;

use super::connect::Connection;
use super::error::{ErrorKind, SolveError};
use super::session::{Services, Session};
use crate::moving::while_moving;
use crate::shape;

/// The status that is still to come after the solve has ended is waited for until none has come, or was taken, for so long. Its stream
/// ends by itself.
const STATUS_QUIET: Duration = Duration::from_secs(20);

/// And for so long at most.
const STATUS_LIMIT: Duration = Duration::from_mins(5);

/// How much is shown of a value that cannot be right.
const SHOWN_CHARACTERS: usize = 100;

/// How long a cancelled solve may take to show what it stopped.
const CANCEL_GRACE: Duration = Duration::from_millis(200);

/// What is to be solved.
#[derive(Clone, Debug, Default)]
pub struct Solve {
    /// The frontend's attributes; the frontend is `dockerfile.v0`.
    pub frontend_attributes: HashMap<String, String>,
    /// What becomes of the result; nothing leaves it in the builder's cache.
    pub export: Option<Export>,
    /// Keeps no record in the builder's history.
    pub internal: bool,
}

/// For the log: the names of what was asked for, and of values only those that are no secret.
impl fmt::Display for Solve {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = self
            .frontend_attributes
            .keys()
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        write!(formatter, "solving with {}", names.join(", "))?;
        match &self.export {
            None => write!(formatter, "; nothing is exported"),
            Some(export) => {
                let mut attributes: Vec<_> = export.attributes.iter().collect();
                attributes.sort_unstable();
                write!(formatter, "; export as {}", export.kind)?;
                attributes
                    .into_iter()
                    .try_for_each(|(name, value)| write!(formatter, " {name}={value}"))
            }
        }
    }
}

/// What becomes of a result.
#[derive(Clone, Debug)]
pub struct Export {
    /// The exporter, such as `image`.
    pub kind: String,
    /// Its attributes.
    pub attributes: HashMap<String, String>,
}

/// The result of a solve: the exporter's answer.
#[derive(Clone, Debug, Default)]
pub struct Solved {
    /// All of the answer, such as `containerimage.digest`.
    pub response: HashMap<String, String>,
}

impl Solved {
    /// Takes an exporter's answer, whose digests become part of requests and files.
    ///
    /// # Errors
    /// A digest that is none.
    fn checked(response: HashMap<String, String>) -> Result<Self, SolveError> {
        let is_digest_key = |key: &str| {
            // One for each platform may follow after a slash.
            let name = key.split('/').next().unwrap_or(key);
            name.starts_with("containerimage.") && name.ends_with(".digest")
        };
        let described = |value: &str| {
            let json = STANDARD.decode(value).ok()?;
            let descriptor: Value = serde_json::from_slice(&json).ok()?;
            Some(descriptor.get("digest")?.as_str()?.to_owned())
        };
        for (key, value) in &response {
            let digest = if is_digest_key(key) {
                Some(value.clone())
            } else if key.starts_with("containerimage.descriptor") {
                described(value)
            } else {
                None
            };
            if let Some(digest) = digest
                && !shape::is_digest(&digest)
            {
                let shown: String = digest.escape_debug().take(SHOWN_CHARACTERS).collect();
                let problem =
                    format!("the builder returned `{shown}` as `{key}`, which is not a digest");
                return Err(SolveError::local(ErrorKind::Answer, problem));
            }
        }
        Ok(Self { response })
    }

    /// The digest of the image's index or manifest.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.response
            .get("containerimage.digest")
            .map(String::as_str)
    }

    /// What the image is called in a daemon, with the classic store or with containerd's, as far as the exporter tells.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        let keys = ["containerimage.config.digest", "containerimage.digest"];
        keys.into_iter().filter_map(|key| self.response.get(key))
    }
}

impl Connection {
    /// Solves, with `services` at the builder's disposal, and hands every status message to `status`.
    ///
    /// Ends early when `cancel` does; the builder then stops its steps, and what it still says of
    /// them within a moment is handed on. Not cancel safe in that sense only: dropping the future
    /// stops the solve as well, but tells nothing of it.
    pub async fn solve(
        &self,
        solve: &Solve,
        services: Services,
        status: mpsc::Sender<StatusResponse>,
        cancel: impl Future<Output = ()>,
    ) -> Result<Solved, SolveError> {
        let mut cancel = std::pin::pin!(cancel);
        let canceled = || SolveError::local(ErrorKind::Canceled, "canceled");
        let mut session =
            Session::open(self, services).map_err(|status| SolveError::from_status(&status))?;
        let reference = uuid::Uuid::new_v4().simple().to_string();
        let request = request(&reference, session.id(), solve);
        let begun = Instant::now();
        tracing::debug!(
            "{solve}, as solve {reference} with session {}",
            session.id()
        );

        let mut control = self.control();
        let handed_on = AtomicU64::new(0);
        let mut watching = std::pin::pin!(self.watch(reference, status, &handed_on));
        let mut is_watched = false;
        let mut is_canceled = false;
        let solving = async {
            let mut solving = std::pin::pin!(control.solve(request));
            loop {
                tokio::select! {
                    biased;
                    () = &mut cancel => {
                        is_canceled = true;
                        return None;
                    }
                    outcome = &mut solving => return Some(outcome),
                    outcome = &mut watching, if !is_watched => {
                        is_watched = true;
                        if let Err(status) = outcome {
                            tracing::debug!("no more progress is shown: {}", status.message());
                        }
                    }
                    reason = session.broken() => return Some(Err(reason)),
                }
            }
        };
        // The future of the call is dropped with this block: that is what stops the builder.
        let outcome = solving.await;
        if !is_watched {
            let limit = if is_canceled {
                CANCEL_GRACE
            } else {
                STATUS_LIMIT
            };
            let moved = || handed_on.load(Ordering::Relaxed);
            let rest = while_moving(STATUS_QUIET, moved, &mut watching);
            tokio::select! {
                rest = tokio::time::timeout(limit, rest) => {
                    if !matches!(rest, Ok(Some(_))) && !is_canceled {
                        tracing::warn!("the last build output was dropped: it did not arrive, or was not read, in time");
                    }
                }
                // Polled again only if it was not over above.
                () = &mut cancel, if !is_canceled => {}
            }
        }
        let outcome = match (outcome, session.not_opened()) {
            // The builder knows only that there is none.
            (Some(Err(_)), Some(why)) => Some(Err(why)),
            (outcome, _) => outcome,
        };
        let failure = match &outcome {
            Some(Err(status)) => session.failure(status.message()),
            _ => None,
        };
        session.close().await;
        let ended = match &outcome {
            None => "canceled".to_owned(),
            Some(Ok(_)) => "done".to_owned(),
            Some(Err(status)) => format!("{:?}", status.code()),
        };
        let took = begun.elapsed().as_millis();
        tracing::debug!("the solve ended after {took} ms: {ended}");

        match outcome {
            None => Err(canceled()),
            Some(Ok(answer)) => Solved::checked(answer.into_inner().exporter_response),
            // What failed on our side is the cause; the builder's words are its echo.
            Some(Err(status)) => Err(match failure {
                Some(told) => SolveError {
                    kind: told.kind,
                    message: told.message,
                    hint: told.hint,
                    ..SolveError::from_status(&status)
                },
                None => SolveError::from_status(&status),
            }),
        }
    }

    /// Hands on the status of a solve until it has ended, and counts what was handed on.
    async fn watch(
        &self,
        reference: String,
        status: mpsc::Sender<StatusResponse>,
        handed_on: &AtomicU64,
    ) -> Result<(), Status> {
        let request = StatusRequest { r#ref: reference };
        let mut stream = self.control().status(request).await?.into_inner();
        while let Some(message) = stream.message().await? {
            if status.send(message).await.is_err() {
                break; // nobody looks any more
            }
            handed_on.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn request(reference: &str, session: &str, solve: &Solve) -> SolveRequest {
    // The fields for one exporter are the only ones that BuildKit 0.11 knows; later versions read
    // them too.
    let (exporter, attributes) = match &solve.export {
        Some(export) => (export.kind.clone(), export.attributes.clone()),
        None => (String::new(), HashMap::new()),
    };
    SolveRequest {
        r#ref: reference.to_owned(),
        session: session.to_owned(),
        exporter_deprecated: exporter,
        exporter_attrs_deprecated: attributes,
        frontend: "dockerfile.v0".into(),
        frontend_attrs: solve.frontend_attributes.clone(),
        cache: Some(CacheOptions::default()),
        internal: solve.internal,
        ..SolveRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_that_is_none_fails_the_solve() {
        let good = format!("sha256:{}", "0".repeat(64));
        let checked = |key: &str, value: &str| {
            Solved::checked(HashMap::from([(key.to_owned(), value.to_owned())]))
        };
        let descriptor = |digest: &str| {
            let json = serde_json::json!({ "digest": digest, "size": 1 });
            STANDARD.encode(json.to_string())
        };
        for (key, value) in [
            ("containerimage.digest", &*good),
            ("containerimage.config.digest", &good),
            ("containerimage.descriptor", &descriptor(&good)),
            ("containerimage.descriptor", "no descriptor"),
            ("image.name", "a.example/b:1"),
            ("depot/images.exported", "../x"),
        ] {
            assert!(checked(key, value).is_ok(), "{key} {value}");
        }
        for bad in [
            "",
            "sha256:",
            "sha256:0123",
            "../../other/manifests/latest",
            "sha256:0\nDEPOT_BUILD_IMAGE='evil'",
            &format!("{good}/../x"),
            &"x".repeat(1 << 20),
        ] {
            for (key, value) in [
                ("containerimage.digest", bad),
                ("containerimage.config.digest", bad),
                ("containerimage.config.digest/linux/amd64", bad),
                ("containerimage.descriptor", &descriptor(bad)),
            ] {
                let error = checked(key, value).unwrap_err();
                assert_eq!(error.kind, ErrorKind::Answer);
                assert!(error.message.len() < 300, "{}", error.message);
                assert!(!error.message.contains('\n'), "{}", error.message);
            }
        }
    }
}
