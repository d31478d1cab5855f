//! `moby.filesync.v1.FileSync`: directories that the builder may read.
//!
//! The builder requests a directory by name, with patterns for its content; the transfer itself is in
//! [`sender`]. A name that was not offered is rejected.

mod metadata;
mod sender;

use std::collections::HashMap;
use std::fmt;
use std::future;
use std::sync::Arc;

use tonic::server::StreamingService;
use tonic::{Request, Response, Status, Streaming};

use self::metadata::list;
use super::diff_copy::{Answering, DiffCopy, Mounted};
use super::failure::Failure;
use super::routes::Routes;
use super::service::Service;
use crate::buildkit::wire::Packet;
use crate::context::{Census, Directory, Selection};

/// How a transfer treats a file whose content changes while it is sent.
///
/// A file that was removed, or whose announced time was derived from its content, ends every transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Changes {
    /// The transfer ends with [`ErrorKind::FilesChanged`](crate::buildkit::ErrorKind::FilesChanged).
    #[default]
    Refused,
    /// The file is sent as it is, with a warning: a log that grows constantly would end every transfer.
    Tolerated,
}

/// The offered directories, by the names that the frontend uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSync {
    directories: HashMap<String, Arc<Directory>>,
    /// The census of each directory that has one.
    censuses: HashMap<String, Arc<Census>>,
    changes: Changes,
}

impl FileSync {
    /// Offers a directory under a name.
    #[must_use]
    pub(crate) fn with(mut self, name: impl Into<String>, directory: Directory) -> Self {
        self.directories.insert(name.into(), Arc::new(directory));
        self
    }

    /// Counts what is sent of the directory with this name.
    #[must_use]
    pub(crate) fn count(mut self, name: impl Into<String>, census: Arc<Census>) -> Self {
        self.censuses.insert(name.into(), census);
        self
    }

    /// All directories with their names, in the order of the names.
    pub(crate) fn directories(&self) -> Vec<(String, Arc<Directory>)> {
        let all = self.directories.iter();
        let mut all: Vec<_> = all
            .map(|(name, directory)| (name.clone(), Arc::clone(directory)))
            .collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// The directory with this name.
    pub(crate) fn directory(&self, name: &str) -> Option<&Directory> {
        self.directories.get(name).map(Arc::as_ref)
    }

    /// Sets how a file that changes during a transfer is treated.
    #[must_use]
    pub(crate) fn on_change(mut self, changes: Changes) -> Self {
        self.changes = changes;
        self
    }
}

impl Service for FileSync {
    fn methods(&self) -> &'static [&'static str] {
        &[Server::PATH]
    }

    fn mount(self: Box<Self>, routes: Routes, failure: &Failure) -> Routes {
        routes.add_service(server(*self, failure.clone()))
    }
}

/// The service without a session, for tests that act as the builder.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn file_service(
    files: FileSync,
) -> impl tower_service::Service<
    http::Request<tonic::body::Body>,
    Response = http::Response<tonic::body::Body>,
    Error = std::convert::Infallible,
> {
    server(files, Failure::default())
}

fn server(files: FileSync, failure: Failure) -> Mounted<Server, Packet> {
    Mounted::new(Server { files, failure })
}

/// Handles the calls.
#[derive(Clone)]
struct Server {
    files: FileSync,
    failure: Failure,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileSync").finish_non_exhaustive()
    }
}

impl StreamingService<Packet> for Server {
    type Response = Packet;
    type ResponseStream = sender::Packets;
    type Future = Answering<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Packet>>) -> Self::Future {
        let response = self.diff_copy(request);
        Box::pin(future::ready(response))
    }
}

impl Server {
    fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<sender::Packets>, Status> {
        let metadata = request.metadata();
        let name = list(metadata, "dir-name")?
            .into_iter()
            .next()
            .unwrap_or_default();
        let selection = Selection {
            includes: list(metadata, "include-patterns")?,
            excludes: list(metadata, "exclude-patterns")?,
            follow_paths: list(metadata, "followpaths")?,
        };
        let Some(directory) = self.files.directories.get(&name) else {
            return Err(Status::not_found(format!(
                "the directory `{}` is not offered to the builder",
                name.escape_debug()
            )));
        };
        tracing::debug!(
            "the builder requests `{name}`: {} include, {} exclude patterns, {} follow paths",
            selection.includes.len(),
            selection.excludes.len(),
            selection.follow_paths.len()
        );
        let packets = sender::start(
            directory.clone(),
            self.files.censuses.get(&name).cloned(),
            selection,
            self.files.changes,
            request.into_inner(),
            self.failure.clone(),
        );
        Ok(Response::new(packets))
    }
}

impl DiffCopy<Packet> for Server {
    const NAME: &'static str = "moby.filesync.v1.FileSync";
    const PATH: &'static str = "/moby.filesync.v1.FileSync/DiffCopy";
}

#[cfg(test)]
mod tests {
    use tonic::body::Body;
    use tonic::codec::Codec;
    use tonic_prost::ProstCodec;

    use super::*;
    use crate::context::Tree;

    fn request(name: &str) -> Result<Response<sender::Packets>, Status> {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::of(Tree::new(folder.path(), &[]).unwrap());
        let files = FileSync::default().with("context", directory);
        let mut codec = ProstCodec::<Packet, Packet>::default();
        let mut request = Request::new(Streaming::new_empty(codec.decoder(), Body::empty()));
        request
            .metadata_mut()
            .insert("dir-name", name.parse().unwrap());
        server(files, Failure::default()).0.diff_copy(request)
    }

    #[tokio::test]
    async fn only_a_directory_that_was_offered_is_served() {
        assert!(request("context").is_ok());
        for name in ["dockerfile", "", "/", "../context", "Context"] {
            let Err(status) = request(name) else {
                panic!("`{name}` was served");
            };
            assert_eq!(status.code(), tonic::Code::NotFound, "{name}");
        }
    }
}
