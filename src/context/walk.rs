//! The walk: visits the selected entries in a builder's order.

use std::ops::ControlFlow;

use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;

use super::MAX_PATH_BYTES;
use super::error::{WalkError, shown};
use super::filter::{Filter, Marks, Selection, Verdict};
use super::levels::Levels;
use super::observer::{Observed, Observer};
use super::stat::Entry;
use super::tree::{Identity, Tree};

/// The limit for names in a [`WalkSummary`].
pub(crate) const MAX_LISTED: usize = 20;

/// The result of a walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WalkSummary {
    /// The first entry that was removed after its directory was read.
    pub vanished: Option<String>,
    /// The first [`MAX_LISTED`] directories that cannot be read. They are not selected themselves, but
    /// entries in them might be, so they deserve a warning.
    pub unreadable: Vec<String>,
}

impl Tree {
    /// Visits every selected entry.
    ///
    /// `visit` is called once for each entry, and for a directory before its content. `Break` ends the
    /// walk, which is not an error. Walks may run in parallel.
    ///
    /// # Errors
    /// See [`WalkError`]. Entries before the error have been visited.
    pub(crate) fn walk(
        &self,
        selection: &Selection,
        visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<WalkSummary, WalkError> {
        let filter = Filter::new(selection, self)?;
        let levels = Levels::new(self).map_err(|error| WalkError::Directory {
            path: String::from("."),
            source: error.into(),
        })?;
        let mut walk = Walk {
            tree: self,
            filter,
            levels,
            observer: Observer::default(),
            visit,
            summary: WalkSummary::default(),
        };
        while let Some(kind) = walk.levels.next() {
            if walk.pass(kind)?.is_break() {
                break;
            }
        }
        Ok(walk.summary)
    }
}

struct Walk<'run> {
    tree: &'run Tree,
    filter: Filter,
    levels: Levels<'run>,
    observer: Observer,
    visit: &'run mut dyn FnMut(Entry) -> ControlFlow<()>,
    summary: WalkSummary,
}

/// Why a selected entry was not sent.
enum NotSent {
    Vanished,
    Withheld,
    Failed(WalkError),
}

impl Walk<'_> {
    /// Handles the current entry, and enters it if it is a directory that may contain selected entries.
    fn pass(&mut self, kind: FileType) -> Result<ControlFlow<()>, WalkError> {
        let path = self.levels.path();
        if self.tree.withholds(path) {
            return Ok(ControlFlow::Continue(()));
        }
        // The type in the directory listing decides. If it is outdated, the entry is sent with its
        // current type, and not entered.
        let mut marks = (kind == FileType::Directory).then(Marks::default);
        let verdict = self
            .filter
            .judge(path, self.levels.parent_marks(), marks.as_mut())?;
        if verdict == Verdict::Prune || (verdict == Verdict::LookBelow && marks.is_none()) {
            return Ok(ControlFlow::Continue(()));
        }
        if path.len() > MAX_PATH_BYTES {
            let (start, _) = path.split_at(80);
            return Err(WalkError::PathTooLong {
                start: shown(start),
                length: path.len(),
            });
        }
        let is_selected = verdict == Verdict::Take;
        if is_selected {
            match self.send() {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(ControlFlow::Break(())),
                Err(NotSent::Failed(error)) => return Err(error),
                Err(NotSent::Vanished) => {
                    self.note_vanished();
                    return Ok(ControlFlow::Continue(()));
                }
                Err(NotSent::Withheld) => return Ok(ControlFlow::Continue(())),
            }
        }
        if let Some(marks) = marks {
            self.enter(marks, is_selected)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn enter(&mut self, marks: Marks, is_selected: bool) -> Result<(), WalkError> {
        match self.levels.enter(marks, is_selected) {
            Ok(()) => {}
            Err(error) if is_gone(error) => {
                if !self.is_withheld() {
                    self.note_vanished();
                }
            }
            Err(Errno::ACCESS | Errno::PERM) if !is_selected => {
                if self.summary.unreadable.len() < MAX_LISTED {
                    self.summary.unreadable.push(shown(self.levels.path()));
                }
            }
            Err(error) => {
                return Err(WalkError::Directory {
                    path: shown(self.levels.path()),
                    source: error.into(),
                });
            }
        }
        Ok(())
    }

    fn note_vanished(&mut self) {
        let path = self.levels.path();
        self.summary.vanished.get_or_insert_with(|| shown(path));
    }

    /// Whether the current entry is a file or directory that is never sent, under another name.
    fn is_withheld(&mut self) -> bool {
        let Ok(place) = self.levels.current() else {
            return false;
        };
        let found = statat(place.directory, place.name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| self.tree.withholds_identity(Identity::of(&found)))
    }

    /// Sends the current entry, after its parent directories that were not sent yet.
    fn send(&mut self) -> Result<ControlFlow<()>, NotSent> {
        let entry = self.describe(None)?;
        while let Some(depth) = self.levels.first_unsent() {
            let parent = self.describe(Some(depth))?;
            self.levels.set_sent(depth);
            if self.emit(parent).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(self.emit(entry))
    }

    /// Observes the current entry, or its parent directory at a depth.
    fn describe(&mut self, depth: Option<usize>) -> Result<Observed, NotSent> {
        let place = match depth {
            None => self.levels.current(),
            Some(depth) => self.levels.ancestor(depth),
        };
        let described = match place {
            Ok(place) => self
                .observer
                .describe(place.directory, place.name, place.path, place.trust)
                .map_err(NotSent::Failed)?,
            Err(error) if is_gone(error) => None,
            Err(error) => {
                let path = shown(self.levels.path());
                return Err(NotSent::Failed(WalkError::Entry {
                    path,
                    source: error.into(),
                }));
            }
        };
        match described {
            Some(found) if self.tree.withholds_identity(found.identity) => Err(NotSent::Withheld),
            Some(found) => Ok(found),
            None => Err(NotSent::Vanished),
        }
    }

    fn emit(&mut self, found: Observed) -> ControlFlow<()> {
        self.observer.remember(&found);
        (self.visit)(found.entry)
    }
}

/// Removed, or replaced by something that is not a directory.
fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}
