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
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::failure::Failure;
use super::service::Service;
use crate::buildkit::connect::MESSAGE_LIMIT_BYTES;

/// The largest secret in bytes, as in BuildKit's own client (`secretsprovider.MaxSecretSize`). A builder has no such limit.
pub(crate) const SECRET_LIMIT_BYTES: usize = 500 << 10;

/// The service. Clones share the secrets.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    by_id: Arc<HashMap<String, SecretString>>,
}

impl Secrets {
    /// Serves these secrets, by id.
    pub(crate) fn new(secrets: impl IntoIterator<Item = (String, SecretString)>) -> Self {
        let by_id = Arc::new(secrets.into_iter().collect());
        Self { by_id }
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

    fn mount(self: Box<Self>, routes: Routes, _failure: &Failure) -> Routes {
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
        let secret = self.by_id.get(&id).ok_or_else(missing)?;
        let data = secret.expose_secret().as_bytes().to_vec();
        Ok(Response::new(GetSecretResponse { data }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_returned_only_for_its_exact_id() {
        let values = [("npm", "first\nsecond\n"), ("empty", "")];
        let values = values.map(|(id, value)| (id.to_owned(), SecretString::from(value)));
        let secrets = Secrets::new(values);
        let get = async |id: &str| {
            let request = GetSecretRequest {
                id: id.to_owned(),
                ..GetSecretRequest::default()
            };
            let response = secrets.get_secret(Request::new(request)).await;
            response
                .map(|response| response.into_inner().data)
                .map_err(|status| status.code())
        };
        assert_eq!(get("npm").await, Ok(b"first\nsecond\n".to_vec()));
        assert_eq!(get("empty").await, Ok(Vec::new()));
        for id in ["", "NPM", "npm ", "npm/", "../npm", "other"] {
            assert_eq!(get(id).await, Err(tonic::Code::NotFound), "{id}");
        }
        assert!(!format!("{secrets:?}").contains("first"));
    }
}
