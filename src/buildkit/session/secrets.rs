//! `moby.buildkit.secrets.v1.Secrets`: the secrets of a build. The builder requests one when a step mounts it, or when it reads
//! a Git repository.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::{
    Secrets as Methods, SecretsServer,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use secrecy::{ExposeSecret, SecretString};
use tonic::{Request, Response, Status};

use super::failure::Failure;
use super::routes::Routes;
use super::service::Service;
use crate::buildkit::connect::MESSAGE_LIMIT_BYTES;
use crate::buildkit::error::ErrorKind;
use crate::context::NamedFile;
use crate::text::cause::one_line;

/// The largest secret in bytes, as in BuildKit's own client (`secretsprovider.MaxSecretSize`). A builder has no such limit.
pub(crate) const SECRET_LIMIT_BYTES: usize = 500 << 10;

/// The content of a secret.
#[derive(Debug)]
pub(crate) enum SecretSource {
    /// A text.
    Value(SecretString),
    /// A file, which is read for each request.
    File {
        file: NamedFile,
        /// The secret in a message, such as "the secret `npm`".
        label: String,
    },
}

/// The service. Clones share the secrets.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    by_id: Arc<HashMap<String, SecretSource>>,
    /// The failure of the session that serves them.
    failure: Failure,
}

/// The advice for a file that cannot be read.
const FILE_HINT: &str = "the file must exist, unchanged, until the build has ended";

impl Secrets {
    /// Serves these secrets, by id.
    pub(crate) fn new(secrets: impl IntoIterator<Item = (String, SecretSource)>) -> Self {
        let by_id = Arc::new(secrets.into_iter().collect());
        let failure = Failure::default();
        Self { by_id, failure }
    }

    /// Reads a file. A failure is recorded for the user, because a builder reports only that the step failed.
    async fn read(&self, file: NamedFile, label: &str) -> Result<Vec<u8>, Status> {
        let reading = tokio::task::spawn_blocking(move || file.read(SECRET_LIMIT_BYTES as u64));
        let read = reading.await.map_err(std::io::Error::other);
        read.and_then(|content| content).map_err(|error| {
            let message = format!("{label} cannot be read: {}", one_line(&error));
            let status = Status::failed_precondition(message.clone());
            self.failure
                .record(ErrorKind::Session, message, Some(FILE_HINT));
            status
        })
    }
}

/// Contains only the ids.
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.by_id.keys()).finish()
    }
}

impl Service for Secrets {
    fn methods(&self) -> &'static [&'static str] {
        &["/moby.buildkit.secrets.v1.Secrets/GetSecret"]
    }

    fn mount(mut self: Box<Self>, routes: Routes, failure: &Failure) -> Routes {
        self.failure = failure.clone();
        let server = SecretsServer::new(*self);
        routes.add_service(server.max_decoding_message_size(MESSAGE_LIMIT_BYTES))
    }
}

#[tonic::async_trait]
impl Methods for Secrets {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        // With this code, the builder omits an optional mount and fails a required one.
        let missing = || Status::not_found(format!("secret {id} not found"));
        let data = match self.by_id.get(&id).ok_or_else(missing)? {
            SecretSource::Value(value) => value.expose_secret().as_bytes().to_vec(),
            SecretSource::File { file, label } => self.read(file.clone(), label).await?,
        };
        Ok(Response::new(GetSecretResponse { data }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::context::Tree;
    use crate::io::bounded_file::make_fifo;

    async fn get(secrets: &Secrets, id: &str) -> Result<Vec<u8>, Status> {
        let request = GetSecretRequest {
            id: id.to_owned(),
            ..GetSecretRequest::default()
        };
        let response = secrets.get_secret(Request::new(request)).await;
        response.map(|response| response.into_inner().data)
    }

    #[tokio::test]
    async fn a_secret_is_returned_only_for_its_exact_id() {
        let values = [("npm", "first\nsecond\n"), ("empty", "")];
        let values = values.map(|(id, value)| (id.to_owned(), SecretSource::Value(value.into())));
        let secrets = Secrets::new(values);
        assert_eq!(get(&secrets, "npm").await.unwrap(), b"first\nsecond\n");
        assert_eq!(get(&secrets, "empty").await.unwrap(), b"");
        for id in ["", "NPM", "npm ", "npm/", "../npm", "other"] {
            let status = get(&secrets, id).await.unwrap_err();
            assert_eq!(status.code(), tonic::Code::NotFound, "{id}");
        }
        assert!(!format!("{secrets:?}").contains("first"));
    }

    #[tokio::test]
    async fn a_file_is_read_for_each_request_and_never_outside_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clone/keys/npmrc");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, "outside").unwrap();
        let tree = Arc::new(Tree::new(&folder.path().join("clone"), &[]).unwrap());
        let source = SecretSource::File {
            file: NamedFile::new("npm", "keys/npmrc", tree),
            label: "the secret `npm`".into(),
        };
        let secrets = Secrets::new([("npm".to_owned(), source)]);
        let largest = vec![0xff; SECRET_LIMIT_BYTES];
        for content in [b"one\0\n".as_slice(), b"", &largest, b"two"] {
            fs::write(&path, content).unwrap();
            assert_eq!(get(&secrets, "npm").await.unwrap(), content);
        }
        assert!(secrets.failure.report().is_none());
        let failed = async |problem: &str| {
            let fresh = Secrets {
                failure: Failure::default(),
                ..secrets.clone()
            };
            let status = get(&fresh, "npm").await.unwrap_err();
            assert_ne!(status.code(), tonic::Code::NotFound);
            let report = fresh.failure.report().unwrap();
            let expected = format!("the secret `npm` cannot be read: {problem}");
            assert!(report.message.starts_with(&expected), "{}", report.message);
            assert_eq!(report.hint, Some(FILE_HINT));
        };
        fs::write(&path, vec![b'x'; SECRET_LIMIT_BYTES + 1]).unwrap();
        failed("it is larger than 512000 bytes").await;
        fs::remove_file(&path).unwrap();
        failed("No such file or directory").await;
        symlink(&outside, &path).unwrap();
        failed("Too many levels of symbolic links").await;
        fs::remove_file(&path).unwrap();
        make_fifo(&path);
        failed("`keys/npmrc` is not a regular file").await;
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        symlink(folder.path(), folder.path().join("clone/keys")).unwrap();
        fs::write(folder.path().join("npmrc"), "outside").unwrap();
        failed("Too many levels of symbolic links").await;
    }
}
