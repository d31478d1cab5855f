//! The directories that builders may read. They are opened once, before the build starts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use tokio::sync::OnceCell;

use super::Result;
use super::failure::Failure;
use crate::buildkit::session::{Changes, FileSync};
use crate::config::Plan;
use crate::config::plan::{FolderPlan, NamedContext};
use crate::context::{Directory, NamedFile, Tree};

/// Where the other pipes of a step keep their files, below the clone directory. Those may hold
/// secrets, so they are never part of a context.
const PIPE_STORAGE: &str = ".bitbucket/pipelines/generated";

/// The prefix of every key. It changes when the way in which files are announced changes.
const KEY_PREFIX: &str = "depot-build-2";

/// The directories, and the key under which builders keep their files.
pub(super) struct Contexts {
    files: FileSync,
    /// The repository and the context's path in it; `None` if the builder must not reuse files.
    identity: Option<Vec<u8>>,
    key: OnceCell<String>,
    /// Set after a machine was lost; replaces `key`.
    new_key: Mutex<Option<String>>,
}

impl Contexts {
    /// Opens every directory of the plan.
    ///
    /// # Errors
    /// [`Failure::Directory`] if one is gone, or has been replaced by a link since it was checked.
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        let build = &plan.build;
        let clone = &build.clone;
        let opening = Opening {
            clone,
            tree: Arc::new(Tree::new(clone, &[]).map_err(Failure::Directory)?),
            never: never_sent(plan),
        };
        let dockerfile = &build.dockerfile;
        // The frontend looks for these two names. Other files in their directory are not offered.
        let mut dockerfiles = vec![opening.file(&dockerfile.name, &dockerfile.file)];
        if let Some(file) = &dockerfile.ignore_file {
            dockerfiles.push(opening.file(&format!("{}.dockerignore", dockerfile.name), file));
        }
        let mut files = FileSync::default()
            .with("context", opening.folder(&build.context)?)
            .with("dockerfile", Directory::Files(dockerfiles));
        for context in &build.contexts {
            if let NamedContext::Directory(name, folder) = context {
                files = files.with(directory_name(name), opening.folder(folder)?);
            }
        }
        Ok(Self {
            files,
            identity: (!build.no_cache).then(|| identity(plan)),
            key: OnceCell::new(),
            new_key: Mutex::default(),
        })
    }

    /// Uses a new key from now on: a builder that failed during a transfer may have files on its disk that are missing from its
    /// cache.
    pub(super) fn renew_key(&self) {
        let mut key = self.new_key.lock().unwrap_or_else(PoisonError::into_inner);
        *key = Some(new_key());
    }

    /// The directories for one solve.
    pub(super) fn files(&self, changes: Changes) -> FileSync {
        self.files.clone().on_change(changes)
    }

    /// The key of this run's sessions. The first call computes it.
    ///
    /// The same context of the same repository has the same key in every container, so that the builder requests only files
    /// that have changed. The key is new if files of earlier builds must not be reused, or if the mode or an attribute of a
    /// directory has changed, which builders do not detect. Cancel safe.
    pub(super) async fn key(&self) -> String {
        if let Some(key) = &*self.new_key.lock().unwrap_or_else(PoisonError::into_inner) {
            return key.clone();
        }
        let make = async || {
            let Some(identity) = &self.identity else {
                return new_key();
            };
            let directories = self.files.directories();
            let digests = tokio::task::spawn_blocking(move || {
                let digests = directories.iter();
                digests
                    .map(|(name, directory)| (name.clone(), directory.digest()))
                    .collect::<Vec<_>>()
            });
            match digests.await {
                Ok(digests) => key(identity, &digests),
                // The thread was not started, or panicked.
                Err(_) => new_key(),
            }
        };
        self.key.get_or_init(make).await.clone()
    }
}

/// Opens files and folders in the clone.
struct Opening<'a> {
    clone: &'a Path,
    tree: Arc<Tree>,
    never: Vec<PathBuf>,
}

impl Opening<'_> {
    fn folder(&self, folder: &FolderPlan) -> Result<Directory> {
        let tree = self.tree.below(self.clone, &folder.path, &self.never);
        let ignore_file = folder.ignore_file.as_ref();
        Ok(Directory::Tree {
            tree: tree.map_err(Failure::Directory)?,
            ignore_file: ignore_file.map(|file| self.file(".dockerignore", file)),
        })
    }

    fn file(&self, name: &str, path: &Path) -> NamedFile {
        // All paths of a plan are inside the clone. Any other path fails to open.
        let relative = path.strip_prefix(self.clone).unwrap_or(path);
        NamedFile::new(name, relative, Arc::clone(&self.tree))
    }
}

/// The name by which the builder requests a named directory. No other directory has this prefix.
pub(super) fn directory_name(name: &str) -> String {
    format!("named-{name}")
}

/// Files and folders that are never sent to a builder.
fn never_sent(plan: &Plan) -> Vec<PathBuf> {
    let build = &plan.build;
    [&build.context.path, &build.clone]
        .into_iter()
        .map(|directory| directory.join(PIPE_STORAGE))
        .chain(build.withheld.iter().cloned())
        .collect()
}

/// The parts that identify a context, each preceded by its length.
fn identity(plan: &Plan) -> Vec<u8> {
    let build = &plan.build;
    let context = &build.context.path;
    let within = context.strip_prefix(&build.clone).unwrap_or(context);
    let (repository, path) = match plan.pipeline.repository() {
        Some(repository) => (repository, within),
        // Outside of Bitbucket, only the path identifies the repository.
        None => (String::new(), context.as_path()),
    };
    let mut identity = Vec::new();
    let mut parts = vec![repository.as_bytes(), path.as_os_str().as_encoded_bytes()];
    for context in &build.contexts {
        if let NamedContext::Directory(name, folder) = context {
            parts.extend([name.as_bytes(), folder.path.as_os_str().as_encoded_bytes()]);
        }
    }
    for part in parts {
        identity.extend((part.len() as u64).to_be_bytes());
        identity.extend(part);
    }
    identity
}

fn new_key() -> String {
    format!("{KEY_PREFIX}:{}", uuid::Uuid::new_v4().simple())
}

fn key(identity: &[u8], digests: &[(String, u64)]) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(identity);
    for (name, digest) in digests {
        hash.update(&(name.len() as u64).to_be_bytes());
        hash.update(name.as_bytes());
        hash.update(&digest.to_be_bytes());
    }
    let hash = URL_SAFE_NO_PAD.encode(hash.finish());
    format!("{KEY_PREFIX}:{hash}")
}
