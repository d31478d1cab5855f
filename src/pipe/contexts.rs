//! The directories that builders may read. They are opened once, before the build starts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use tokio::sync::OnceCell;

use super::Result;
use super::counted::{Checkout, CountedFolder};
use super::failure::Failure;
use crate::bitbucket::GENERATED_FOLDER;
use crate::buildkit::TextFile;
use crate::buildkit::session::{Changes, FileSync, SecretSource, Secrets};
use crate::config::Plan;
use crate::config::plan::{
    BuildPlan, ContextPlan, ContextTimes, DockerfilePlan, DockerfileSource, FolderPlan,
    NamedContext, SecretsPlan,
};
use crate::context::{Directory, NamedFile, Tree};
use crate::ssh::Agents;

/// The prefix of every key. It changes when the way in which files are announced changes.
const KEY_PREFIX: &str = "depot-build-2";

/// The name by which a builder requests the Dockerfile, unless a session has several.
pub(super) const DOCKERFILE: &str = "dockerfile";

/// The limit for each file of a definition that is part of the request. A message has 4 MiB at most with some builders.
const DEFINITION_LIMIT_BYTES: u64 = 256 << 10;

/// The name of the file with patterns of files that are not sent.
const DOCKERIGNORE: &str = ".dockerignore";

/// The directories of images that have the same context, and the key under which builders keep their files.
pub(super) struct Contexts {
    files: FileSync,
    /// The directories whose files are counted.
    counted: Vec<CountedFolder>,
    secrets: Secrets,
    /// The SSH agents of the images' steps.
    agents: Agents,
    /// The repository and the context's path in it; `None` if the builder must not reuse files.
    identity: Option<Vec<u8>>,
    key: OnceCell<String>,
    /// Set after a machine was lost; replaces `key`.
    new_key: Mutex<Option<String>>,
}

/// The files of one image.
#[derive(Clone)]
pub(super) struct ImageFiles {
    /// Images with the same context share them, so that a session transfers the context once.
    pub(super) contexts: Arc<Contexts>,
    /// The name by which the builder requests the directory of the Dockerfile.
    pub(super) dockerfile: String,
}

/// Opens every directory of the plan. Returns the files of each image and of each input, in the plan's order.
///
/// # Errors
/// [`Failure::Directory`] if one is gone, or has been replaced by a link since it was checked.
pub(super) fn open(plan: &Plan) -> Result<Vec<ImageFiles>> {
    let clone = &plan.clone;
    let tree = Arc::new(Tree::new(clone, &[]).map_err(Failure::Directory)?);
    let checkout = Checkout::read(clone);
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places = Vec::new();
    for image in plan.built() {
        let build = &image.build;
        let mut known = groups.iter_mut().enumerate();
        match known.find(|(_, group)| group.fits(build)) {
            Some((index, group)) => places.push((index, group.add(build))),
            None => {
                places.push((groups.len(), DOCKERFILE.to_owned()));
                groups.push(Group::new(build));
            }
        }
    }
    let mut opened = Vec::with_capacity(groups.len());
    for group in &groups {
        let opening = Opening {
            clone,
            checkout: &checkout,
            tree: Arc::clone(&tree),
            times: group.build.times,
            never: never_sent(plan, group.build),
        };
        opened.push(Arc::new(group.open(plan, &opening)?));
    }
    let places = places.into_iter().filter_map(|(group, dockerfile)| {
        let contexts = Arc::clone(opened.get(group)?);
        Some(ImageFiles {
            contexts,
            dockerfile,
        })
    });
    Ok(places.collect())
}

/// Images with the same context and secrets, which one session offers.
struct Group<'a> {
    /// The build of the first of them.
    build: &'a BuildPlan,
    /// Each Dockerfile of the clone once, in the order of the images.
    dockerfiles: Vec<&'a DockerfilePlan>,
}

impl<'a> Group<'a> {
    fn new(build: &'a BuildPlan) -> Self {
        let dockerfiles = local(build).map(|(_, dockerfile)| dockerfile);
        let dockerfiles = dockerfiles.into_iter().collect();
        Self { build, dockerfiles }
    }

    /// Whether `build` reads the same directories and secrets.
    fn fits(&self, build: &BuildPlan) -> bool {
        let context = |build| local(build).map(|(context, _)| context);
        context(self.build) == context(build)
            && self.build.no_cache == build.no_cache
            && self.build.times == build.times
            && self.build.secrets == build.secrets
            && self.build.ssh == build.ssh
            && named_directories(self.build).eq(named_directories(build))
    }

    /// Adds the Dockerfile of a build. Returns the name of its directory.
    fn add(&mut self, build: &'a BuildPlan) -> String {
        let Some((_, dockerfile)) = local(build) else {
            // The builder reads it from the repository.
            return DOCKERFILE.to_owned();
        };
        let known = self
            .dockerfiles
            .iter()
            .position(|known| *known == dockerfile);
        let index = known.unwrap_or_else(|| {
            self.dockerfiles.push(dockerfile);
            self.dockerfiles.len() - 1
        });
        dockerfile_name(index)
    }

    fn open(&self, plan: &Plan, opening: &Opening<'_>) -> Result<Contexts> {
        let build = self.build;
        let mut files = FileSync::default();
        let mut counted = Vec::new();
        if let Some((context, dockerfile)) = local(build) {
            files = files.with("context", opening.folder(context)?);
            let ignore_file = ignore_file(dockerfile);
            let folder = opening.counted(context, "the context".to_owned(), ignore_file);
            files = files.count("context", Arc::clone(&folder.census));
            counted.push(folder);
        }
        for (index, dockerfile) in self.dockerfiles.iter().enumerate() {
            // The frontend looks for these two names. Other files in their directory are not offered.
            let name = &dockerfile.name;
            let mut offered = vec![match &dockerfile.source {
                DockerfileSource::File(path) => opening.file(name, path),
                DockerfileSource::Inline(text) => NamedFile::inline(name, Arc::clone(text)),
            }];
            if let Some(file) = &dockerfile.ignore_file {
                offered.push(opening.file(&format!("{}.dockerignore", dockerfile.name), file));
            }
            files = files.with(dockerfile_name(index), Directory::Files(offered));
        }
        for (name, folder) in named_directories(build) {
            files = files.with(directory_name(name), opening.folder(folder)?);
            let label = format!("the context `{name}`");
            let counting = opening.counted(folder, label, DOCKERIGNORE.to_owned());
            files = files.count(directory_name(name), Arc::clone(&counting.census));
            counted.push(counting);
        }
        Ok(Contexts {
            files,
            counted,
            secrets: opening.secrets(&build.secrets),
            agents: build.ssh.clone(),
            identity: (!build.no_cache).then(|| identity(plan, build)),
            key: OnceCell::new(),
            new_key: Mutex::default(),
        })
    }
}

/// The directory and the Dockerfile of the clone; `None` if the context is a repository that the builder fetches.
fn local(build: &BuildPlan) -> Option<(&FolderPlan, &DockerfilePlan)> {
    match &build.context {
        ContextPlan::Directory(context, dockerfile) => Some((context, dockerfile)),
        ContextPlan::Git(_) => None,
    }
}

/// The name of the file whose patterns apply to the context of a Dockerfile.
fn ignore_file(dockerfile: &DockerfilePlan) -> String {
    let own = dockerfile.ignore_file.as_ref();
    let own = own.map(|_| format!("{}.dockerignore", dockerfile.name));
    own.unwrap_or_else(|| DOCKERIGNORE.to_owned())
}

fn dockerfile_name(index: usize) -> String {
    match index {
        0 => DOCKERFILE.to_owned(),
        index => format!("{DOCKERFILE}-{}", index + 1),
    }
}

/// The named contexts that are directories.
fn named_directories(build: &BuildPlan) -> impl Iterator<Item = (&str, &FolderPlan)> {
    build.contexts.iter().filter_map(|context| match context {
        NamedContext::Directory(name, folder) => Some((&**name, folder)),
        NamedContext::Address(..) | NamedContext::Image(..) => None,
    })
}

impl Contexts {
    /// Uses a new key from now on: a builder that failed during a transfer may have files on its disk that are missing from its
    /// cache.
    pub(super) fn renew_key(&self) {
        let mut key = self.new_key.lock().unwrap_or_else(PoisonError::into_inner);
        *key = Some(new_key());
    }

    /// The directories whose files are counted.
    pub(super) fn counted(&self) -> &[CountedFolder] {
        &self.counted
    }

    /// The directories for one solve.
    pub(super) fn files(&self, changes: Changes) -> FileSync {
        self.files.clone().on_change(changes)
    }

    /// The Dockerfile `name` in the directory `dockerfile`, with the patterns of the context. `None` if the builder has to request
    /// them: they are large or cannot be read, which it reports.
    pub(super) fn definition(&self, dockerfile: &str, name: &str) -> Option<Vec<TextFile>> {
        let read = |directory: &str, name: &str| {
            let directory = self.files.directory(directory)?;
            directory.read(name, DEFINITION_LIMIT_BYTES).ok()
        };
        let content = read(dockerfile, name)??;
        let own_name = format!("{name}.dockerignore");
        let patterns = match read(dockerfile, &own_name)? {
            Some(own) => own,
            // A frontend that finds this file does not request the one in the context.
            None => read("context", DOCKERIGNORE)?.unwrap_or_default(),
        };
        // A frontend takes an empty file for none.
        let patterns = if patterns.is_empty() {
            b"\n".to_vec()
        } else {
            patterns
        };
        Some(vec![
            TextFile {
                name: name.to_owned(),
                content,
            },
            TextFile {
                name: own_name,
                content: patterns,
            },
        ])
    }

    /// The SSH agents of the builds.
    pub(super) fn agents(&self) -> &Agents {
        &self.agents
    }

    /// The secrets of the builds.
    pub(super) fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// The key of the sessions. The first call computes it.
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
    checkout: &'a Checkout,
    tree: Arc<Tree>,
    times: ContextTimes,
    never: Vec<PathBuf>,
}

impl Opening<'_> {
    fn folder(&self, folder: &FolderPlan) -> Result<Directory> {
        let tree = self.tree.below(self.clone, &folder.path, &self.never);
        let tree = tree.map_err(Failure::Directory)?;
        let ignore_file = folder.ignore_file.as_ref();
        Ok(Directory::Tree {
            tree: match self.times {
                ContextTimes::Clone => tree,
                ContextTimes::Content => tree.with_times_of_content(),
            },
            ignore_file: ignore_file.map(|file| self.file(DOCKERIGNORE, file)),
        })
    }

    fn counted(&self, folder: &FolderPlan, label: String, ignore_file: String) -> CountedFolder {
        CountedFolder::new(self.checkout, &folder.path, label, ignore_file)
    }

    fn secrets(&self, plan: &SecretsPlan) -> Secrets {
        let values = plan.values().iter().cloned();
        let values = values.map(|(id, value)| (id, SecretSource::Value(value)));
        let files = plan.files().iter().map(|secret| {
            let label = secret.label.clone();
            let file = self.file(&secret.id, &secret.path);
            (secret.id.clone(), SecretSource::File { file, label })
        });
        Secrets::new(values.chain(files))
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
fn never_sent(plan: &Plan, build: &BuildPlan) -> Vec<PathBuf> {
    let context = local(build).map(|(context, _)| &context.path);
    context
        .into_iter()
        .chain([&plan.clone])
        .map(|directory| directory.join(GENERATED_FOLDER))
        .chain(plan.withheld.iter().cloned())
        .collect()
}

/// The parts that identify a context, each preceded by its length.
fn identity(plan: &Plan, build: &BuildPlan) -> Vec<u8> {
    // The files of a repository are not part of the session. Its named contexts are relative to the clone.
    let context = local(build).map_or(&plan.clone, |(context, _)| &context.path);
    let within = context.strip_prefix(&plan.clone).unwrap_or(context);
    let (repository, path) = match plan.pipeline.repository() {
        Some(repository) => (repository, within),
        // Outside of Bitbucket, only the path identifies the repository.
        None => (String::new(), context.as_path()),
    };
    let mut identity = Vec::new();
    let mut parts = vec![repository.as_bytes(), path.as_os_str().as_encoded_bytes()];
    for (name, folder) in named_directories(build) {
        parts.extend([name.as_bytes(), folder.path.as_os_str().as_encoded_bytes()]);
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
