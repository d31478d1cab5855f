//! Depot's API: the effect of each method. Routing, reading and responding are in [`exchange`].

mod blobs;
mod builds;
mod exchange;
mod machines;
mod method;
mod pull;
mod push;
mod reports;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::rand::{SecureRandom as _, SystemRandom};

pub(crate) use exchange::{Connection, exchange};
pub use method::Method;

use crate::connect::{Code, ConnectError};
use crate::faults::Faults;
use crate::machine::MachineAddress;
use crate::messages::BuildOptions;
use crate::record::{Recorder, TokenKind};
use crate::{Architecture, Scenario};

/// The most builds of one local Depot; more than any test or benchmark creates.
const MAX_BUILDS: usize = 10_000;

/// The state behind the API.
pub(crate) struct Api {
    scenario: Scenario,
    user_token: String,
    project_id: String,
    machines: HashMap<Architecture, MachineAddress>,
    cancel_all: AtomicBool,
    state: Mutex<State>,
    pub(crate) recorder: std::sync::Arc<Recorder>,
}

struct State {
    faults: Faults,
    /// By id.
    builds: HashMap<String, Build>,
}

/// The API's state of a build, in addition to its record.
struct Build {
    token: String,
    project_id: String,
    url: String,
    options: Vec<BuildOptions>,
    finished: bool,
    health_reports: u32,
    polls: HashMap<Architecture, u32>,
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Api")
            .field("project_id", &self.project_id)
            .finish_non_exhaustive()
    }
}

impl Api {
    pub(crate) fn new(
        scenario: Scenario,
        user_token: String,
        project_id: String,
        machines: HashMap<Architecture, MachineAddress>,
        recorder: std::sync::Arc<Recorder>,
    ) -> Self {
        let state = Mutex::new(State {
            faults: Faults::new(&scenario.faults),
            builds: HashMap::new(),
        });
        Self {
            scenario,
            user_token,
            project_id,
            machines,
            cancel_all: AtomicBool::new(false),
            state,
            recorder,
        }
    }

    fn has_project(&self, id: &str) -> bool {
        self.project_id == id || self.scenario.projects.iter().any(|project| project == id)
    }

    /// From now on every response to a health report has a `cancels_at` in the past.
    pub(crate) fn cancel_builds(&self) {
        self.cancel_all.store(true, Ordering::SeqCst);
    }

    pub(crate) fn unmet_faults(&self) -> Vec<String> {
        self.state().faults.unmet()
    }

    /// Ignores poisoning: no code that holds this lock can panic, and each of its statements leaves a valid state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kind of token in an `Authorization` header.
    fn token_kind(&self, header: Option<&http::HeaderValue>) -> TokenKind {
        let Some(header) = header else {
            return TokenKind::Absent;
        };
        let Some(token) = header
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "))
        else {
            return TokenKind::Malformed;
        };
        if token == self.user_token {
            return TokenKind::User;
        }
        let state = self.state();
        let build = state.builds.iter().find(|(_, build)| build.token == token);
        build.map_or(TokenKind::Unknown, |(id, _)| TokenKind::Build(id.clone()))
    }
}

/// Requires the user's token.
fn require_user(token: &TokenKind) -> Result<(), ConnectError> {
    match token {
        TokenKind::User => Ok(()),
        _ => Err(ConnectError::new(
            Code::Unauthenticated,
            "unauthorized: a user's or project's token is needed",
        )),
    }
}

/// Requires the token of this build.
fn require_build(token: &TokenKind, build_id: &str) -> Result<(), ConnectError> {
    match token {
        TokenKind::Build(id) if id == build_id => Ok(()),
        TokenKind::Build(_) => Err(unknown_build(build_id)),
        _ => Err(ConnectError::new(
            Code::Unauthenticated,
            "unauthorized: the build's own token is needed",
        )),
    }
}

fn unknown_build(build_id: &str) -> ConnectError {
    ConnectError::new(Code::NotFound, format!("build {build_id} not found"))
}

impl State {
    /// The build, if it is not finished.
    fn running(&mut self, build_id: &str) -> Result<&mut Build, ConnectError> {
        let build = self
            .builds
            .get_mut(build_id)
            .ok_or_else(|| unknown_build(build_id))?;
        if build.finished {
            return Err(ConnectError::new(
                Code::FailedPrecondition,
                format!("build {build_id} is finished"),
            ));
        }
        Ok(build)
    }
}

/// A random text: 32 hexadecimal digits.
pub(crate) fn random_text() -> Result<String, ConnectError> {
    use std::fmt::Write as _;
    let mut bytes = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ConnectError::new(Code::Internal, "the system has no random bytes"))?;
    let mut text = String::new();
    for byte in bytes {
        let _never_fails = write!(text, "{byte:02x}");
    }
    Ok(text)
}
