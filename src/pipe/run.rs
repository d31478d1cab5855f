//! What all images of a run share.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::load::daemon::StepDaemon;
use super::machines::Machines;
use super::registries::Registries;
use crate::cancel::Cancel;
use crate::config::Plan;
use crate::depot::{Build, Steps};
use crate::report::mask::Masker;
use crate::report::progress::Update;

/// The state of a run. Dropping it ends the progress and the reports to Depot, because it owns their senders.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) build: &'a Build,
    pub(super) machines: Machines<'a>,
    pub(super) registries: Arc<Registries>,
    /// The daemon that images are loaded into, if any.
    pub(super) daemon: Option<&'a StepDaemon>,
    pub(super) steps: Steps,
    pub(super) status: mpsc::Sender<Update>,
    pub(super) masker: &'a Masker,
    pub(super) cancel: &'a Cancel,
}
