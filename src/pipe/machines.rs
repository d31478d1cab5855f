//! The machines of a run: every connection to a builder is opened and replaced here.

mod connect;
mod leases;
mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Mutex;

use self::leases::Leases;
use self::sessions::Sessions;
use super::authorizer::RegistryAuthorizer;
use super::registries::Registries;
use crate::buildkit::Connection;
use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::depot::{Build, Steps};
use crate::platform::Architecture;
use crate::report::mask::Masker;

pub(super) use self::sessions::{MAX_TRANSFERS, SharedSession};

/// How often a lost machine is requested again before it builds something.
const MAX_RECONNECTS: usize = 2;

/// The context that all machines of a run share.
#[derive(Clone)]
pub(super) struct Context<'a> {
    pub(super) plan: &'a Plan,
    pub(super) build: &'a Build,
    pub(super) registries: Arc<Registries>,
    pub(super) steps: Steps,
    pub(super) masker: &'a Masker,
}

/// The machines of a run, one for each architecture.
pub(super) struct Machines<'a> {
    amd64: Box<Machine<'a>>,
    arm64: Box<Machine<'a>>,
    /// The architectures that the run builds for.
    used: Vec<Architecture>,
}

/// One machine. It is acquired when its connection is needed for the first time.
pub(super) struct Machine<'a> {
    context: Context<'a>,
    platform: Architecture,
    state: Mutex<State>,
    /// The requests for the machine after it was lost, since it last finished building or loading something.
    reconnects: AtomicUsize,
    sessions: Sessions,
    leases: Leases,
}

/// The connection to a machine. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) connection: Connection,
    /// The number of connections before this one.
    pub(super) generation: usize,
}

/// The state of a machine. The lock is held while it connects, so that all images wait for one connection.
#[derive(Debug, Default)]
struct State {
    link: Option<Link>,
    /// Set if the machine cannot be used any more.
    has_failed: bool,
}

impl<'a> Machines<'a> {
    /// The machines of a run that builds for the architectures in `used`. None is acquired yet.
    pub(super) fn new(context: &Context<'a>, used: impl IntoIterator<Item = Architecture>) -> Self {
        let machine = |platform| Machine {
            context: context.clone(),
            platform,
            state: Mutex::default(),
            reconnects: AtomicUsize::new(0),
            sessions: Sessions::default(),
            leases: Leases::default(),
        };
        let mut machines = Self {
            amd64: Box::new(machine(Architecture::Amd64)),
            arm64: Box::new(machine(Architecture::Arm64)),
            used: Vec::new(),
        };
        for platform in used {
            if !machines.used.contains(&platform) {
                machines.used.push(platform);
            }
        }
        machines
    }

    /// The machine for an architecture.
    pub(super) fn of(&self, platform: Architecture) -> &Machine<'a> {
        match platform {
            Architecture::Amd64 => &self.amd64,
            Architecture::Arm64 => &self.arm64,
        }
    }

    fn used(&self) -> impl Iterator<Item = &Machine<'a>> {
        self.used.iter().map(|&platform| self.of(platform))
    }

    /// Reports to Depot that the machines are in use. Never returns. Fires `cancel` if Depot cancels the build.
    pub(super) async fn report_health(&self, cancel: &Cancel) -> ! {
        let reports = self
            .used()
            .map(|machine| machine.context.build.report_health(machine.platform));
        let mut reports: FuturesUnordered<_> = reports.collect();
        if reports.next().await.is_some() {
            cancel.fire(Reason::Depot);
        }
        drop(reports);
        std::future::pending().await
    }

    /// Deletes all leases and closes all sessions. Best effort: a failure does not change the result of the run.
    pub(super) async fn release(&self, cancel: &Cancel) {
        join_all(self.used().map(|machine| machine.leases.delete(cancel))).await;
        join_all(self.used().map(|machine| machine.sessions.close())).await;
    }
}

impl Machine<'_> {
    /// The architecture.
    pub(super) fn platform(&self) -> Architecture {
        self.platform
    }

    /// Keeps a lease until [`Machines::release`].
    pub(super) fn keep_lease(&self, link: &Link, id: &str) {
        self.leases.keep(link, id);
    }

    /// Records that the machine finished building or loading something: a later loss has all its attempts again.
    pub(super) fn note_success(&self) {
        self.reconnects.store(0, Ordering::Relaxed);
    }

    fn authorizer(&self) -> Arc<RegistryAuthorizer> {
        Arc::new(RegistryAuthorizer(Arc::clone(&self.context.registries)))
    }
}
