//! One solve: the request, its status and its result.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, CacheOptionsEntry, SolveRequest, SolveResponse, StatusRequest, StatusResponse,
};
use bollard_buildkit_proto::pb::Definition;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::{Response, Status};

use super::connect::Connection;
use super::error::{ErrorKind, SolveError};
use super::session::Session;
use crate::io::idle::while_moving;
use crate::text::digest::shown;
use crate::text::shape;

/// After the solve, the remaining status messages are dropped if none of them arrives or is read for this long. The stream ends
/// by itself.
const STATUS_QUIET: Duration = Duration::from_secs(20);

/// The total limit for the remaining status messages.
const STATUS_LIMIT: Duration = Duration::from_mins(5);

/// How long the last status messages may take after the solve was canceled.
const CANCEL_GRACE: Duration = Duration::from_millis(200);

/// The request for a solve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Solve {
    /// The frontend's attributes; the frontend is `dockerfile.v0`.
    pub(crate) frontend_attributes: HashMap<String, String>,
    /// The export of the result; `None` leaves it in the builder's cache.
    pub(crate) export: Option<Export>,
    /// Caches outside of the builder that the build reads.
    pub(crate) cache_imports: Vec<ExternalCache>,
    /// Caches outside of the builder that the build writes.
    pub(crate) cache_exports: Vec<ExternalCache>,
    /// The privileges that steps of the Dockerfile may request, such as `network.host`.
    pub(crate) entitlements: Vec<String>,
    /// The results of other builds that the frontend uses.
    pub(crate) inputs: HashMap<String, Definition>,
    /// Keeps no record in the builder's history.
    pub(crate) internal: bool,
}

/// For the log: the names of the frontend's attributes without their values, which may be secret, and the export.
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

/// The export of a result.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    /// The exporter, such as `image`.
    pub(crate) kind: String,
    /// Its attributes.
    pub(crate) attributes: HashMap<String, String>,
}

/// A cache outside of the builder, such as one in a registry.
///
/// `Debug` omits the values of the attributes, which can be secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ExternalCache {
    /// The kind of its storage, such as `registry`.
    pub(crate) kind: String,
    /// Its attributes.
    pub(crate) attributes: HashMap<String, String>,
}

impl fmt::Debug for ExternalCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.attributes.keys().collect();
        names.sort_unstable();
        write!(formatter, "{} {names:?}", self.kind)
    }
}

/// The result of a solve: the exporter's response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Solved {
    /// The whole response, such as `containerimage.digest`.
    pub(crate) response: HashMap<String, String>,
}

impl Solved {
    /// Checks the digests in an exporter's response, because they become part of requests and files.
    ///
    /// # Errors
    /// A value that should be a digest is not valid.
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
                let shown = shown(&digest);
                let problem =
                    format!("the builder returned `{shown}` as `{key}`, which is not a digest");
                return Err(SolveError::local(ErrorKind::InvalidResult, problem));
            }
        }
        Ok(Self { response })
    }

    /// The digest of the image's index or manifest.
    #[must_use]
    pub(crate) fn digest(&self) -> Option<&str> {
        self.response
            .get("containerimage.digest")
            .map(String::as_str)
    }

    /// The image's IDs in a daemon, with the classic store and with containerd's store, if the exporter returned them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        let keys = ["containerimage.config.digest", "containerimage.digest"];
        keys.into_iter().filter_map(|key| self.response.get(key))
    }
}

impl Connection {
    /// Runs a solve that uses the services of `session`, and passes every status message to `status`.
    ///
    /// Several solves may use one session at the same time. The session stays open: the caller closes it.
    ///
    /// Stops when `cancel` completes: the builder stops its steps, and their last status messages are passed on for
    /// [`CANCEL_GRACE`]. Dropping the future also stops the solve, but its last status messages are lost.
    pub(crate) async fn solve(
        &self,
        solve: &Solve,
        session: &Session,
        status: mpsc::Sender<StatusResponse>,
        cancel: impl Future<Output = ()>,
    ) -> Result<Solved, SolveError> {
        let reference = uuid::Uuid::new_v4().simple().to_string();
        tracing::debug!(
            "{solve}, as solve {reference} with session {}",
            session.id()
        );
        let begun = Instant::now();
        let request = request(&reference, session.id(), solve);
        let outcome = self.run(request, session, status, cancel).await;
        let ended = match &outcome {
            None => "canceled".to_owned(),
            Some(Ok(_)) => "done".to_owned(),
            Some(Err(status)) => format!("{:?}", status.code()),
        };
        let took = begun.elapsed().as_millis();
        tracing::debug!("the solve ended after {took} ms: {ended}");
        match outcome {
            None => Err(SolveError::local(ErrorKind::Canceled, "canceled")),
            Some(Ok(response)) => Solved::checked(response.exporter_response),
            Some(Err(status)) => Err(failure(&status, session)),
        }
    }

    /// Makes the call, and passes on its status. `None` if it was canceled.
    pub(super) async fn run(
        &self,
        request: SolveRequest,
        session: &Session,
        status: mpsc::Sender<StatusResponse>,
        cancel: impl Future<Output = ()>,
    ) -> Option<Result<SolveResponse, Status>> {
        let mut cancel = std::pin::pin!(cancel);
        let mut control = self.control();
        let passed_on = AtomicU64::new(0);
        let watching = self.watch(request.r#ref.clone(), status, &passed_on);
        let mut watching = std::pin::pin!(watching);
        let mut is_watched = false;
        let solving = async {
            let mut solving = std::pin::pin!(control.solve(request));
            loop {
                tokio::select! {
                    biased;
                    () = &mut cancel => return None,
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
        // The call's future is dropped with this block, which stops the builder.
        let outcome = solving.await;
        let is_canceled = outcome.is_none();
        if !is_watched {
            let limit = if is_canceled {
                CANCEL_GRACE
            } else {
                STATUS_LIMIT
            };
            let moved = || passed_on.load(Ordering::Relaxed);
            let rest = while_moving(STATUS_QUIET, moved, &mut watching);
            tokio::select! {
                rest = tokio::time::timeout(limit, rest) => {
                    if !matches!(rest, Ok(Some(_))) && !is_canceled {
                        tracing::warn!("the last build output was dropped: it did not arrive, or was not read, in time");
                    }
                }
                // Polled again only if it did not complete above.
                () = &mut cancel, if !is_canceled => {}
            }
        }
        match (outcome?, session.not_opened()) {
            // The builder only reports that the session is missing.
            (Err(_), Some(why)) => Some(Err(why)),
            (outcome, _) => Some(outcome.map(Response::into_inner)),
        }
    }

    /// Passes on the status of a solve until it ends, and counts the messages.
    async fn watch(
        &self,
        reference: String,
        status: mpsc::Sender<StatusResponse>,
        passed_on: &AtomicU64,
    ) -> Result<(), Status> {
        let request = StatusRequest { r#ref: reference };
        let mut stream = self.control().status(request).await?.into_inner();
        self.note_response();
        while let Some(message) = stream.message().await? {
            if status.send(message).await.is_err() {
                break; // the receiver was dropped
            }
            passed_on.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn request(reference: &str, session: &str, solve: &Solve) -> SolveRequest {
    // BuildKit 0.11 supports only the fields for a single exporter; later versions also read them.
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
        frontend_attrs: frontend_attributes(solve),
        cache: Some(cache_options(solve)),
        entitlements: solve.entitlements.clone(),
        frontend_inputs: solve.inputs.clone(),
        internal: solve.internal,
        ..SolveRequest::default()
    }
}

/// The error of a solve that failed with `status`.
pub(super) fn failure(status: &Status, session: &Session) -> SolveError {
    let error = SolveError::from_status(status);
    // A failure on this side is the cause; the builder's error is its consequence. But another solve of the session
    // may have caused that failure, which has nothing to do with a failed step or push.
    let report = session.failure(status.message());
    let report = report.filter(|_| !error.is_failed_step() && !error.is_after_build());
    match report {
        Some(report) => SolveError {
            kind: report.kind,
            message: report.message,
            hint: report.hint,
            ..error
        },
        None => error,
    }
}

/// The caches outside of the builder.
pub(super) fn cache_options(solve: &Solve) -> CacheOptions {
    CacheOptions {
        exports: entries(&solve.cache_exports),
        imports: entries(&solve.cache_imports),
        ..CacheOptions::default()
    }
}

/// The frontend's attributes. The frontend reads the imported caches from an attribute and ignores those of the request
/// (`parseCacheOptions` of BuildKit's `client/solve.go`).
pub(super) fn frontend_attributes(solve: &Solve) -> HashMap<String, String> {
    let mut attributes = solve.frontend_attributes.clone();
    if !solve.cache_imports.is_empty() {
        let imports = solve.cache_imports.iter();
        let imports: Vec<Value> = imports
            .map(|cache| json!({ "Type": cache.kind, "Attrs": cache.attributes }))
            .collect();
        attributes.insert("cache-imports".into(), Value::from(imports).to_string());
    }
    attributes
}

fn entries(caches: &[ExternalCache]) -> Vec<CacheOptionsEntry> {
    let caches = caches.iter();
    caches
        .map(|cache| CacheOptionsEntry {
            r#type: cache.kind.clone(),
            attrs: cache.attributes.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imported_caches_are_in_the_request_and_in_an_attribute_of_the_frontend() {
        let cache = |name: &str| ExternalCache {
            kind: "registry".into(),
            attributes: HashMap::from([("ref".into(), name.into())]),
        };
        let solve = Solve {
            cache_imports: vec![cache("acme/in")],
            cache_exports: vec![cache("acme/out")],
            entitlements: vec!["network.host".into()],
            ..Solve::default()
        };
        let request = request("reference", "session", &solve);
        let options = request.cache.unwrap();
        assert_eq!(options.imports, entries(&[cache("acme/in")]));
        assert_eq!(options.exports, entries(&[cache("acme/out")]));
        assert_eq!(request.entitlements, ["network.host"]);
        assert_eq!(
            request.frontend_attrs["cache-imports"],
            r#"[{"Attrs":{"ref":"acme/in"},"Type":"registry"}]"#
        );
    }

    #[test]
    fn an_invalid_digest_fails_the_solve() {
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
            ("other", "../x"),
        ] {
            assert!(checked(key, value).is_ok(), "{key} {value}");
        }
        for bad in [
            "",
            "sha256:",
            "sha256:0123",
            "../../other/manifests/latest",
            "sha256:0\nIMAGE='evil'",
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
                assert_eq!(error.kind, ErrorKind::InvalidResult);
                assert!(error.message.len() < 300, "{}", error.message);
                assert!(!error.message.contains('\n'), "{}", error.message);
            }
        }
    }
}
