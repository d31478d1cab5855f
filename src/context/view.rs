//! A folder as it is sent to a builder in one transfer.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use super::error::{OpenError, WalkError, shown};
use super::filter::Selection;
use super::named::NamedFile;
use super::stat::Entry;
use super::tree::Tree;
use super::walk::WalkSummary;
use crate::io::bounded_file;

/// The file that a frontend reads first, in a separate transfer.
const IGNORE_FILE: &str = ".dockerignore";

/// A folder that is offered to builders.
#[derive(Debug)]
pub(crate) enum Directory {
    /// The files of a folder.
    Tree {
        /// The folder.
        tree: Tree,
        /// The target of the folder's `.dockerignore`, if that is a link. A transfer of only that file
        /// sends the target; any other transfer sends the link itself.
        ignore_file: Option<NamedFile>,
    },
    /// These files and no others.
    Files(Vec<NamedFile>),
}

/// The part of a folder that one transfer sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View<'a> {
    Tree(&'a Tree),
    Files(&'a [NamedFile]),
}

impl Directory {
    /// All files of a folder.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(tree: Tree) -> Self {
        Self::Tree {
            tree,
            ignore_file: None,
        }
    }

    /// A digest of the changes that builders do not detect; see [`Tree::directory_digest`]. Blocks.
    pub(crate) fn digest(&self) -> u64 {
        match self {
            Self::Tree { tree, .. } => tree.directory_digest(),
            Self::Files(_) => 0,
        }
    }

    /// Reads a file at the top; `None` if it does not exist. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or is larger than `limit_bytes`.
    pub(crate) fn read(&self, name: &str, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match self {
            Self::Tree {
                ignore_file: Some(file),
                ..
            } if name == IGNORE_FILE => return file.read(limit_bytes).map(Some),
            Self::Tree { tree, .. } => tree.open(name),
            Self::Files(files) => View::Files(files).open(name.as_bytes()),
        };
        match file {
            Ok(file) => bounded_file::read_open(file, limit_bytes).map(Some),
            Err(OpenError::Gone { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(OpenError::NotListed { .. }) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// The view for a transfer of `selection`.
    pub(crate) fn view(&self, selection: &Selection) -> View<'_> {
        match self {
            Self::Tree {
                ignore_file: Some(file),
                ..
            } if selection.is_only(IGNORE_FILE) => View::Files(std::slice::from_ref(file)),
            Self::Tree { tree, .. } => View::Tree(tree),
            Self::Files(files) => View::Files(files),
        }
    }
}

impl Selection {
    /// Whether it selects exactly one file at the top.
    fn is_only(&self, name: &str) -> bool {
        let mut names = self.includes.iter().chain(&self.follow_paths).peekable();
        names.peek().is_some() && names.all(|path| path.trim_start_matches('/') == name)
    }
}

impl View<'_> {
    /// Visits every entry of the selection; see [`Tree::walk`]. Single files are visited regardless of
    /// the selection: the builder requests the content that it needs.
    pub(crate) fn walk(
        self,
        selection: &Selection,
        visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<WalkSummary, WalkError> {
        let files = match self {
            Self::Tree(tree) => return tree.walk(selection, visit),
            Self::Files(files) => files,
        };
        let mut files: Vec<_> = files.iter().collect();
        files.sort_unstable_by_key(|file| file.name());
        for file in files {
            if visit(file.entry()?).is_break() {
                break;
            }
        }
        Ok(WalkSummary::default())
    }

    /// Opens a visited file to read its content.
    pub(crate) fn open(self, path: &[u8]) -> Result<File, OpenError> {
        match self {
            Self::Tree(tree) => tree.open(path),
            Self::Files(files) => {
                let mut files = files.iter();
                match files.find(|file| file.name().as_bytes() == path) {
                    Some(file) => file.open(),
                    None => Err(OpenError::NotListed { path: shown(path) }),
                }
            }
        }
    }
}
