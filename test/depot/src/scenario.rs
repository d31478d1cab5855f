//! The behaviour of a local Depot, set before it starts.
//!
//! [`Scenario::default`] has no faults: both machines are ready at once, and responses have no special values. Each method
//! changes one thing.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use depot_ground::traffic::Traffic;

use crate::faults::{Fault, PlannedFault, Times};
use crate::{Architecture, Method};

/// The settings of a local Depot.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// The planned faults of the API.
    pub faults: Vec<PlannedFault>,
    /// The response to `CreateBuild`.
    pub answer: CreateBuildAnswer,
    /// The response to `GetPullInfo`; if `None`, `failed_precondition`.
    pub pull: Option<PullInfo>,
    /// The addresses of registries for the blob service, by host, such as `127.0.0.1:5000`. Other hosts are their own addresses.
    pub addresses: HashMap<String, String>,
    /// The health report from which responses request the end of the build, counted over all its machines, from 1.
    pub cancel_at_health_report: Option<u32>,
    /// Projects in addition to the one that every local Depot has.
    pub projects: Vec<String>,
    /// The tokens of the user and of every build; random if `None`.
    pub tokens: Option<(String, String)>,
    /// The machine for AMD64.
    pub amd64: MachinePlan,
    /// The machine for ARM64.
    pub arm64: MachinePlan,
}

impl Scenario {
    /// Plans `fault` for every call of `method`.
    #[must_use]
    pub fn always(mut self, method: Method, fault: Fault) -> Self {
        self.faults.push(PlannedFault {
            method,
            fault,
            times: Times::Always,
        });
        self
    }

    /// Plans `fault` for the first `times` calls of `method`, or the next ones after the faults that are already planned.
    #[must_use]
    pub fn first(mut self, times: u32, method: Method, fault: Fault) -> Self {
        self.faults.push(PlannedFault {
            method,
            fault,
            times: Times::First(times),
        });
        self
    }

    /// Sets the plan of both machines.
    #[must_use]
    pub fn machines(mut self, plan: MachinePlan) -> Self {
        self.amd64 = plan.clone();
        self.arm64 = plan;
        self
    }

    /// Sets the plan of one machine.
    #[must_use]
    pub fn machine(mut self, architecture: Architecture, plan: MachinePlan) -> Self {
        match architecture {
            Architecture::Amd64 => self.amd64 = plan,
            Architecture::Arm64 => self.arm64 = plan,
        }
        self
    }

    /// Sets `cancels_at` in the past from the `report`-th health report of a build (1 is the first).
    #[must_use]
    pub fn cancel_at_health_report(mut self, report: u32) -> Self {
        self.cancel_at_health_report = Some(report);
        self
    }

    /// Sets the response to `CreateBuild`.
    #[must_use]
    pub fn answer(mut self, answer: CreateBuildAnswer) -> Self {
        self.answer = answer;
        self
    }

    /// Sets the response to `GetPullInfo`.
    #[must_use]
    pub fn pull(mut self, pull: PullInfo) -> Self {
        self.pull = Some(pull);
        self
    }

    /// Sets the address at which the blob service finds the registry `host`. It uses plain HTTP.
    #[must_use]
    pub fn registry_at(mut self, host: &str, address: &str) -> Self {
        self.addresses.insert(host.to_owned(), address.to_owned());
        self
    }

    /// Adds a project, which shares the machines.
    #[must_use]
    pub fn project(mut self, id: &str) -> Self {
        self.projects.push(id.to_owned());
        self
    }

    /// Sets the user's token and the token of every build.
    #[must_use]
    pub fn tokens(mut self, user: &str, build: &str) -> Self {
        self.tokens = Some((user.to_owned(), build.to_owned()));
        self
    }

    pub(crate) fn plan(&self, architecture: Architecture) -> &MachinePlan {
        match architecture {
            Architecture::Amd64 => &self.amd64,
            Architecture::Arm64 => &self.arm64,
        }
    }
}

/// Values in the response to `CreateBuild`. The local Depot always creates the build's id and token itself.
///
/// `{build_id}` and `{project_id}` in [`tags`](Self::additional_tags), [`build_url`](Self::build_url) and
/// [`PullInfo::reference`] are replaced.
#[derive(Clone, Debug)]
pub struct CreateBuildAnswer {
    /// The project; the requested one if `None`.
    pub project_id: Option<String>,
    /// The address of the build's web page.
    pub build_url: String,
    /// Additional references for the push of a saved image. Sent only if the request saves or loads the image.
    pub additional_tags: Vec<String>,
    /// Credentials for the hosts of those references.
    pub additional_credentials: Vec<HostCredential>,
    /// Whether the server prefers to save an image and pull it, instead of loading it directly.
    pub load_using_registry: bool,
}

impl Default for CreateBuildAnswer {
    fn default() -> Self {
        Self {
            project_id: None,
            build_url: "https://depot.test/projects/{project_id}/builds/{build_id}".to_owned(),
            additional_tags: Vec::new(),
            additional_credentials: Vec::new(),
            load_using_registry: false,
        }
    }
}

/// A user name and password for one registry host.
#[derive(Clone, PartialEq, Eq)]
pub struct HostCredential {
    /// Host, with its port if it has one.
    pub host: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for HostCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HostCredential")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// The reference and the credentials to pull a saved image.
#[derive(Clone, PartialEq, Eq)]
pub struct PullInfo {
    /// Reference of the image.
    pub reference: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for PullInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PullInfo")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// How a builder machine behaves.
#[derive(Clone, Debug, Default)]
pub struct MachinePlan {
    /// How many polls of `GetBuildKitConnection` (by one build) get "pending" first.
    pub pending_polls: u32,
    /// The wait in those responses.
    pub pending_wait: Duration,
    /// The behaviour of its port.
    pub port: Port,
    /// Its certificate, or none.
    pub security: Security,
    /// The requested compression of gRPC messages.
    pub compressor: Compressor,
    /// How many connections are reset right after they are accepted, as by a machine that is still starting.
    pub resets_first: u32,
    /// How many connections (after those that are reset) get this fatal TLS alert instead of a handshake, as from a gateway
    /// without a route to the machine yet.
    pub alerts_first: (u32, u8),
    /// Whether it supports the extensions of Depot's fork of BuildKit.
    pub is_fork: bool,
    /// How many solves fail first with `inconsistent graph state`. Only for a fork; otherwise solves pass unchanged.
    pub confused_first: u32,
    /// Its address; 127.0.0.1 if `None`.
    pub address: Option<Ipv4Addr>,
    /// Resets a connection after this many bytes in both directions together, TLS excluded.
    pub cut_after_bytes: Option<u64>,
    /// The network between clients and the machine; loopback if `None`.
    pub line: Option<Line>,
    /// Records all calls, those within sessions included.
    pub traffic: Option<Traffic>,
}

impl MachinePlan {
    /// Returns "pending" for `polls` polls, each with `wait`.
    #[must_use]
    pub fn pending(mut self, polls: u32, wait: Duration) -> Self {
        self.pending_polls = polls;
        self.pending_wait = wait;
        self
    }

    /// The behaviour of its port.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.port = port;
        self
    }

    /// Its certificate, or none.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Sets the requested compression of gRPC messages.
    #[must_use]
    pub fn compressor(mut self, compressor: Compressor) -> Self {
        self.compressor = compressor;
        self
    }

    /// Resets its first `connections` connections.
    #[must_use]
    pub fn resets_first(mut self, connections: u32) -> Self {
        self.resets_first = connections;
        self
    }

    /// Sends a TLS alert with this number on its first `connections` connections.
    #[must_use]
    pub fn alerts_first(mut self, connections: u32, alert: u8) -> Self {
        self.alerts_first = (connections, alert);
        self
    }

    /// Supports the extensions of Depot's fork of BuildKit.
    #[must_use]
    pub fn fork(mut self) -> Self {
        self.is_fork = true;
        self
    }

    /// Fails its first `solves` solves with `inconsistent graph state`, as a fork.
    #[must_use]
    pub fn confused_first(mut self, solves: u32) -> Self {
        self.is_fork = true;
        self.confused_first = solves;
        self
    }

    /// Listens at another address of this machine.
    #[must_use]
    pub fn at(mut self, address: Ipv4Addr) -> Self {
        self.address = Some(address);
        self
    }

    /// Records all calls.
    #[must_use]
    pub fn recorded(mut self, traffic: &Traffic) -> Self {
        self.traffic = Some(traffic.clone());
        self
    }

    /// Resets each connection after this many bytes.
    #[must_use]
    pub fn cut_after_bytes(mut self, bytes: u64) -> Self {
        self.cut_after_bytes = Some(bytes);
        self
    }

    /// Puts the machine at the end of a line.
    #[must_use]
    pub fn line(mut self, line: Line) -> Self {
        self.line = Some(line);
        self
    }
}

/// A line to a machine, symmetric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The delay of each byte in one direction: half of a round trip.
    pub delay: Duration,
    /// The rate in one direction; unlimited if `None`.
    pub bits_per_second: Option<u64>,
}

/// The behaviour of a machine's port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// Leads to BuildKit.
    #[default]
    Open,
    /// Refuses every connection.
    Closed,
    /// Accepts connections and never sends or reads a byte.
    Silent,
    /// Refuses every connection for this long after the local Depot's start, then leads to BuildKit.
    Late(Duration),
}

/// The certificate of a machine. All variants use mutual TLS, except [`Security::PlainText`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// A certificate for its name, issued by its authority.
    #[default]
    Trusted,
    /// The certificate of its authority itself, which also holds its name. Clients accept that.
    AuthorityItself,
    /// A certificate for its name from another authority.
    WrongAuthority,
    /// A certificate from its authority, for another name.
    WrongName,
    /// A certificate that expired years ago.
    Expired,
    /// No TLS; the API then returns no certificates.
    PlainText,
}

/// The compression that the API requests from clients of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compressor {
    /// The field is absent.
    #[default]
    Unset,
    /// No compression.
    Identity,
    /// gzip.
    Gzip,
}
