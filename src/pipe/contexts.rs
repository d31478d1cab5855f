//! The directories of a run that builders may read, opened once before anything is started.

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

/// Every key begins so, and changes with the way in which files are announced.
const KEY_PREFIX: &str = "depot-build-2";

/// The directories, and the key under which builders keep their files.
pub(super) struct Contexts {
    files: FileSync,
    /// The repository and the context's path in it; `None` if the builder is to keep nothing.
    identity: Option<Vec<u8>>,
    key: OnceCell<String>,
    /// Set once a machine was lost; goes before `key`.
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
        // The frontend looks for both by these names. Other files beside them are not for the builder.
        let mut beside = vec![opening.file(&dockerfile.name, &dockerfile.file)];
        if let Some(file) = &dockerfile.ignore_file {
            beside.push(opening.file(&format!("{}.dockerignore", dockerfile.name), file));
        }
        let mut files = FileSync::default()
            .with("context", opening.folder(&build.context)?)
            .with("dockerfile", Directory::Files(beside));
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

    /// Takes a new key from here on: a builder that died in the middle of a transfer may have files on its disk that it did not
    /// report to its cache.
    pub(super) fn renew_key(&self) {
        let mut key = self.new_key.lock().unwrap_or_else(PoisonError::into_inner);
        *key = Some(new_key());
    }

    /// The directories for one solve.
    pub(super) fn files(&self, changes: Changes) -> FileSync {
        self.files.clone().on_change(changes)
    }

    /// The key of this run's sessions; the first call makes it.
    ///
    /// It is the same for the same context of the same repository, whatever container builds it, so that the builder requests
    /// only files that have changed. It is new if files must not be taken from earlier builds, and if the mode or an attribute
    /// of a directory has changed, which builders overlook. Cancel safe.
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

/// Opens what lies in the clone.
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
        // All paths of a plan lie in the clone. Another one would not be found below it.
        let relative = path.strip_prefix(self.clone).unwrap_or(path);
        NamedFile::new(name, relative, Arc::clone(&self.tree))
    }
}

/// The name by which the builder requests a named directory. No other directory begins so.
pub(super) fn directory_name(name: &str) -> String {
    format!("named-{name}")
}

/// Files and folders that no builder gets, whatever it requests.
fn never_sent(plan: &Plan) -> Vec<PathBuf> {
    let build = &plan.build;
    [&build.context.path, &build.clone]
        .into_iter()
        .map(|directory| directory.join(PIPE_STORAGE))
        .chain(build.withheld.iter().cloned())
        .collect()
}

/// The parts that make a context another one, each with its length in front.
fn identity(plan: &Plan) -> Vec<u8> {
    let build = &plan.build;
    let context = &build.context.path;
    let within = context.strip_prefix(&build.clone).unwrap_or(context);
    let (repository, path) = match plan.pipeline.repository() {
        Some(repository) => (repository, within),
        // Outside of Bitbucket only the place tells one repository from another.
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
