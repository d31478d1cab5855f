//! The state that all images of a run share.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::links::Links;
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
    /// The images that are named contexts of others.
    pub(super) links: Links<'a>,
    pub(super) registries: Arc<Registries>,
    /// The daemon that images are loaded into, if any.
    pub(super) daemon: Option<&'a StepDaemon>,
    pub(super) steps: Steps,
    pub(super) status: mpsc::Sender<Update>,
    pub(super) masker: &'a Masker,
    pub(super) cancel: &'a Cancel,
    /// The names that were pushed, each with the name of its image.
    pub(super) pushed: Mutex<Vec<(String, String)>>,
}

impl Run<'_> {
    /// Records the names that an image has in registries.
    pub(super) fn note_pushed(&self, image: &str, names: impl IntoIterator<Item = String>) {
        let mut pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        pushed.extend(names.into_iter().map(|name| (image.to_owned(), name)));
    }

    /// The recorded names, except those of the image `except`, which reports its names itself.
    pub(super) fn pushed_except(&self, except: Option<&str>) -> Vec<String> {
        let pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        let others = pushed.iter().filter(|(image, _)| Some(&**image) != except);
        others.map(|(_, name)| name.clone()).collect()
    }
}
