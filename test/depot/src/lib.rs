//! A local Depot for tests: Depot's API and builder machines, in front of a real BuildKit.
//!
//! [`LocalDepot`] serves Depot's API on loopback, over HTTP/1.1 and over HTTP/2 with prior knowledge. For each architecture it
//! opens a port with mutual TLS of its own authority, which leads byte for byte to a [`Builder`]. The released depot CLI
//! verifies it, in the pipe's test target `released_cli`: it must pass each scenario that the pipe is tested with.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use local_depot::{BuildState, Code, Fault, MachinePlan, Method, NoBuilder, Scenario, LocalDepot};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Faults are planned before the start. `NoBuilder` is enough for tests that do not use a machine; for real builds
//! // pass an `Arc<Engine>`, one for a whole test program: `Engine::start(&EngineOptions::of_this_machine())`.
//! let scenario = Scenario::default()
//!     .first(2, Method::CreateBuild, Fault::error(Code::Unavailable, "come back later"))
//!     .machines(MachinePlan::default().pending(3, Duration::from_millis(10)));
//! let depot = LocalDepot::start(Arc::new(NoBuilder), scenario).await?;
//!
//! // The program under test gets these three as variables.
//! let (_url, _token, _project) = (depot.api_url(), depot.token(), depot.project_id());
//!
//! // Tests wait for a state of the record and never sleep.
//! let record = depot
//!     .wait_for("the build to be canceled", Duration::from_secs(10), |record| {
//!         record.last_build().is_some_and(|build| build.state == BuildState::Canceled)
//!     })
//!     .await?;
//! assert_eq!(record.calls_of(Method::CreateBuild).count(), 3);
//! depot.check()?; // only methods of Depot's API were called, and every planned fault occurred
//! # Ok(())
//! # }
//! ```

mod api;
mod authority;
mod connect;
mod depot;
mod envelope;
mod faults;
mod machine;
pub mod messages;
mod record;
mod scenario;
mod server;
mod solves;

pub mod released_cli;

use std::fmt;

pub use api::Method;
pub use authority::CertificateError;
pub use connect::Code;
pub use depot::{LocalDepot, StartError, Unforeseen, WaitError};
pub use faults::{Fault, PlannedFault, Times};
pub use machine::{Builder, BuilderStream, Connecting, Machine, NoBuilder};
pub use record::{
    BlobRecord, BuildRecord, BuildState, Call, ConnectionRecord, ConnectionState, Outcome,
    PushRecord, PushState, Record, Request, TokenKind,
};
pub use scenario::{
    Compressor, CreateBuildAnswer, HostCredential, Line, MachinePlan, Port, PullInfo, Scenario,
    Security,
};
pub use solves::{SolveRequest, solve_requests};

/// The architecture of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}
