//! What a test wants of the local Depot, said before it starts.
//!
//! [`Scenario::default`] is a Depot where everything goes well: both machines are ready at once, and the answers hold
//! nothing special. Each method changes one thing.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use depot_ground::traffic::Traffic;

use crate::faults::{Fault, PlannedFault, Times};
use crate::{Architecture, Method};

/// Everything that a test can change about a local Depot.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// What goes wrong in the API.
    pub faults: Vec<PlannedFault>,
    /// What `CreateBuild` answers.
    pub answer: CreateBuildAnswer,
    /// What `GetPullInfo` answers; without it, `failed_precondition`.
    pub pull: Option<PullInfo>,
    /// From which health report on the answer asks the client to stop, counted over all machines of a build, from 1.
    pub cancel_at_health_report: Option<u32>,
    /// The tokens of the user and of every build, instead of random ones.
    pub tokens: Option<(String, String)>,
    /// The machine for AMD64.
    pub amd64: MachinePlan,
    /// The machine for ARM64.
    pub arm64: MachinePlan,
}

impl Scenario {
    /// Every call of `method` meets `fault`.
    #[must_use]
    pub fn always(mut self, method: Method, fault: Fault) -> Self {
        self.faults.push(PlannedFault {
            method,
            fault,
            times: Times::Always,
        });
        self
    }

    /// The first `times` calls of `method` (or the next ones, after the faults already planned for it) meet `fault`.
    #[must_use]
    pub fn first(mut self, times: u32, method: Method, fault: Fault) -> Self {
        self.faults.push(PlannedFault {
            method,
            fault,
            times: Times::First(times),
        });
        self
    }

    /// Both machines follow `plan`.
    #[must_use]
    pub fn machines(mut self, plan: MachinePlan) -> Self {
        self.amd64 = plan.clone();
        self.arm64 = plan;
        self
    }

    /// One machine follows `plan`.
    #[must_use]
    pub fn machine(mut self, architecture: Architecture, plan: MachinePlan) -> Self {
        match architecture {
            Architecture::Amd64 => self.amd64 = plan,
            Architecture::Arm64 => self.arm64 = plan,
        }
        self
    }

    /// From the `report`-th health report of a build on (1 is the first), `cancels_at` lies in the past.
    #[must_use]
    pub fn cancel_at_health_report(mut self, report: u32) -> Self {
        self.cancel_at_health_report = Some(report);
        self
    }

    /// `CreateBuild` answers this.
    #[must_use]
    pub fn answer(mut self, answer: CreateBuildAnswer) -> Self {
        self.answer = answer;
        self
    }

    /// `GetPullInfo` answers this.
    #[must_use]
    pub fn pull(mut self, pull: PullInfo) -> Self {
        self.pull = Some(pull);
        self
    }

    /// The user's token, and the one that every build gets.
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

/// What differs in the answer to `CreateBuild`; the build's id and token are always made by the stand-in.
///
/// `{build_id}` and `{project_id}` in [`tags`](Self::additional_tags), [`build_url`](Self::build_url) and
/// [`PullInfo::reference`] are replaced.
#[derive(Clone, Debug)]
pub struct CreateBuildAnswer {
    /// `None`: the project that was asked for.
    pub project_id: Option<String>,
    /// Where a person would look at the build.
    pub build_url: String,
    /// References under which a saved image is to be pushed as well. Sent only when the request asks to save or to load.
    pub additional_tags: Vec<String>,
    /// Credentials for the hosts of those references.
    pub additional_credentials: Vec<HostCredential>,
    /// The server prefers that a loaded image be saved and then pulled.
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
    /// Host, with its port where it has one.
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

/// Where a saved image can be pulled from.
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
    /// So many polls of `GetBuildKitConnection` (of one build) are answered with "pending" first.
    pub pending_polls: u32,
    /// What those answers tell the client to wait.
    pub pending_wait: Duration,
    /// What its port does.
    pub port: Port,
    /// What it shows of itself.
    pub security: Security,
    /// The compression that the answer asks gRPC messages to have.
    pub compressor: Compressor,
    /// So many connections are reset right after they were accepted, as by a machine that is still starting.
    pub resets_first: u32,
    /// So many connections (after those that are reset) are answered with this fatal TLS alert instead of a handshake, as by a
    /// gateway that does not know the machine yet.
    pub alerts_first: (u32, u8),
    /// It does what Depot's fork of BuildKit does beyond upstream's.
    pub is_fork: bool,
    /// So many solves fail first as they do on builders whose graph got confused. Of a fork alone: others are passed on as they are.
    pub confused_first: u32,
    /// Where it listens, if not at 127.0.0.1.
    pub address: Option<Ipv4Addr>,
    /// A connection is reset once so many bytes have passed, both directions and TLS excluded.
    pub cut_after_bytes: Option<u64>,
    /// What lies between clients and it, if it is not next door.
    pub line: Option<Line>,
    /// Where all calls are kept, those within sessions too.
    pub traffic: Option<Traffic>,
}

impl MachinePlan {
    /// Not ready for `polls` polls, each told to wait.
    #[must_use]
    pub fn pending(mut self, polls: u32, wait: Duration) -> Self {
        self.pending_polls = polls;
        self.pending_wait = wait;
        self
    }

    /// What its port does.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.port = port;
        self
    }

    /// What it shows of itself.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// The compression it asks for.
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

    /// Answers its first `connections` connections with a TLS alert of this number.
    #[must_use]
    pub fn alerts_first(mut self, connections: u32, alert: u8) -> Self {
        self.alerts_first = (connections, alert);
        self
    }

    /// Does what Depot's fork of BuildKit does beyond upstream's.
    #[must_use]
    pub fn fork(mut self) -> Self {
        self.is_fork = true;
        self
    }

    /// A fork that fails its first `solves` with `inconsistent graph state`.
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

    /// Keeps all calls.
    #[must_use]
    pub fn recorded(mut self, traffic: &Traffic) -> Self {
        self.traffic = Some(traffic.clone());
        self
    }

    /// Resets each connection after so many bytes.
    #[must_use]
    pub fn cut_after_bytes(mut self, bytes: u64) -> Self {
        self.cut_after_bytes = Some(bytes);
        self
    }

    /// Stands at the end of a line.
    #[must_use]
    pub fn line(mut self, line: Line) -> Self {
        self.line = Some(line);
        self
    }
}

/// A line to a machine, the same both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// How much later each byte arrives, one way: half of a round trip.
    pub delay: Duration,
    /// How many bits enter it in a second, one way; `None` for as many as come.
    pub bits_per_second: Option<u64>,
}

/// What a machine's port does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// Leads to BuildKit.
    #[default]
    Open,
    /// Refuses every connection.
    Closed,
    /// Accepts connections and never sends or reads a byte.
    Silent,
    /// Refuses every connection so long after the stand-in's start, and leads to BuildKit then.
    Late(Duration),
}

/// What a machine shows of itself when a client connects. Always mutual TLS, but for [`Security::PlainText`].
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
    /// A certificate that ended years ago.
    Expired,
    /// No TLS at all; the API then hands out no certificates.
    PlainText,
}

/// The compression that the API asks the client to use towards a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compressor {
    /// Says nothing about it.
    #[default]
    Unset,
    /// Asks for none.
    Identity,
    /// Asks for gzip.
    Gzip,
}
