//! One image of a run: its inputs.

use tokio::sync::OnceCell;

use super::Result;
use super::contexts::ImageFiles;
use super::failure::Failure;
use super::load::choice::LoadChoice;
use super::names::Names;
use super::registries::Registries;
use super::round::Form;
use super::target::Target;
use crate::cancel::Cancel;
use crate::config::plan::ImagePlan;
use crate::registry::reference::Reference;
use crate::report::progress::Source;

/// One image, and everything that is known about it before it is built.
pub(super) struct Job<'a> {
    pub(super) plan: &'a ImagePlan,
    pub(super) files: ImageFiles,
    /// The machines, each with the source under which its steps are shown. At least one.
    pub(super) targets: Vec<(Target, Source)>,
    pub(super) names: Names,
    /// The platform that is loaded into the daemon, if one is.
    pub(super) load: Option<LoadChoice>,
    /// The form of each machine's result.
    pub(super) form: Form,
    /// Fires when the image is to stop, or when one of its machines has failed.
    pub(super) cancel: Cancel,
    /// Set once the image's registries are ready for a push.
    pub(super) prepared: OnceCell<()>,
}

impl Job<'_> {
    /// Checks access to the image's registries before the push, where that is possible. Runs once for all machines.
    pub(super) async fn prepare(&self, registries: &Registries) -> Result<()> {
        let caches = self.plan.caches.required_references();
        let names: Vec<Reference> = self.names.pushed().chain(caches).cloned().collect();
        let preparing = self.prepared.get_or_try_init(|| registries.prepare(&names));
        match self.cancel.unless_fired(preparing).await {
            Ok(prepared) => prepared.copied(),
            Err(reason) => Err(Failure::Canceled(reason)),
        }
    }

    /// Reports all names, which were pushed although a later part of the image failed. The names of a part are pushed last.
    pub(super) fn report_delivered(&self) {
        if self.form == Form::Whole {
            self.report_pushed(|_| true);
        }
    }

    /// Reports which names were pushed although the image failed.
    pub(super) fn report_pushed(&self, is_pushed: impl Fn(&Reference) -> bool) {
        let pushed = self.names.kept().filter(|name| is_pushed(name));
        let pushed: Vec<_> = pushed.map(ToString::to_string).collect();
        if !pushed.is_empty() {
            tracing::error!("already pushed: {}", pushed.join(", "));
        }
    }
}
