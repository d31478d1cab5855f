//! The figures of a run, from its log and its transfers. No request is made for them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::building::ProjectBuild;
use super::contexts::ImageFiles;
use super::counted::CountedFolder;
use super::delivered::Finished;
use crate::config::Plan;
use crate::report::mask::Masker;
use crate::report::progress::{Figures, Progress};
use crate::report::summary::Origin;
use crate::report::totals::ContextBytes;

/// The figures of a run that has ended.
pub(super) struct Results<'a> {
    pub(super) plan: &'a Plan,
    /// The origin of the images.
    pub(super) origin: Origin,
    /// Empty if no build was created.
    pub(super) builds: &'a [ProjectBuild<'a>],
    /// Time since the start of the program.
    pub(super) elapsed: Duration,
    pub(super) figures: Figures,
    pub(super) context: ContextBytes,
    masker: Masker,
}

impl<'a> Results<'a> {
    /// Collects the figures of a build. The run began at `started`.
    pub(super) fn collect(
        plan: &'a Plan,
        builds: &'a [ProjectBuild<'a>],
        files: impl Iterator<Item = &'a ImageFiles>,
        progress: &Progress,
        started: Instant,
        masker: &Masker,
    ) -> Self {
        let mut context = ContextBytes::default();
        each_folder(files, |folder| {
            let counted = folder.census.counted();
            context.total = context.total.saturating_add(counted.bytes);
            context.sent = context.sent.saturating_add(counted.sent_bytes);
        });
        Self {
            plan,
            origin: Origin::Built,
            builds,
            elapsed: started.elapsed(),
            figures: progress.figures(),
            context,
            masker: masker.clone(),
        }
    }

    /// The figures of a run without a build. The run began at `started`.
    pub(super) fn without_build(
        plan: &'a Plan,
        origin: Origin,
        started: Instant,
        masker: &Masker,
    ) -> Self {
        Self {
            plan,
            origin,
            builds: &[],
            elapsed: started.elapsed(),
            figures: Figures::default(),
            context: ContextBytes::default(),
            masker: masker.clone(),
        }
    }

    /// The text without secrets.
    pub(super) fn masked(&self, text: &str) -> String {
        self.masker.mask(text.to_owned())
    }
}

/// The bytes sent to the Docker daemon; `None` if no layers were to be sent.
pub(super) fn loaded_bytes(images: &[Finished]) -> Option<u64> {
    let loaded = images.iter().filter_map(|image| image.loaded_bytes);
    loaded.reduce(u64::saturating_add)
}

/// Warns of files that are missing in what was sent, and of a large context.
pub(super) fn warn_of_contexts<'a>(files: impl Iterator<Item = &'a ImageFiles>) {
    each_folder(files, |folder| {
        for warning in folder.warnings() {
            tracing::warn!("{warning}");
        }
    });
}

/// Calls `visit` once for each directory, although images share them.
fn each_folder<'a>(
    files: impl Iterator<Item = &'a ImageFiles>,
    mut visit: impl FnMut(&CountedFolder),
) {
    let mut seen = HashSet::new();
    for files in files {
        if seen.insert(Arc::as_ptr(&files.contexts)) {
            files.contexts.counted().iter().for_each(&mut visit);
        }
    }
}
