//! `moby.sshforward.v1.SSH`: the connections of a build's SSH clients to an agent.
//!
//! The builder opens one call for each connection to the socket in a step, and several at the same time. The keys stay in this
//! process or in another agent: a step can list public keys and get signatures, and nothing else.

use std::pin::Pin;
use std::sync::Arc;

use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::{Ssh as Methods, SshServer};
use bollard_buildkit_proto::moby::sshforward::v1::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse,
};
use futures_util::{Stream, stream};
use tonic::{Request, Response, Status, Streaming};

use super::failure::Failure;
use super::routes::Routes;
use super::service::Service;
use crate::ssh::{Agent, Agents, Connection, Frames};

/// The metadata that names the agent of a connection (`KeySSHID` of BuildKit).
const ID_METADATA: &str = "buildkit.ssh.id";

/// The agent of a mount without an id.
const DEFAULT_ID: &str = "default";

/// The longest message of the builder, which sends at most 32 KiB at once.
const PIECE_LIMIT_BYTES: usize = 1 << 20;

/// The service.
pub(crate) struct Ssh {
    agents: Agents,
}

impl Ssh {
    /// Serves `agents`.
    pub(crate) fn new(agents: Agents) -> Self {
        Self { agents }
    }

    /// The agent with this id; an empty one is the default.
    fn agent(&self, id: &str) -> Result<&Arc<Agent>, Status> {
        let id = if id.is_empty() { DEFAULT_ID } else { id };
        // The builder reports this code, and only this code, as a key that is not forwarded.
        let missing = || Status::unimplemented("no SSH agent has this id");
        self.agents.get(id).ok_or_else(missing)
    }
}

impl Service for Ssh {
    fn methods(&self) -> &'static [&'static str] {
        &[
            "/moby.sshforward.v1.SSH/CheckAgent",
            "/moby.sshforward.v1.SSH/ForwardAgent",
        ]
    }

    fn mount(self: Box<Self>, routes: Routes, _failure: &Failure) -> Routes {
        let server = SshServer::new(*self);
        routes.add_service(server.max_decoding_message_size(PIECE_LIMIT_BYTES))
    }
}

#[tonic::async_trait]
impl Methods for Ssh {
    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.agent(&request.get_ref().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    type ForwardAgentStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id = request.metadata().get(ID_METADATA);
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        let agent = Arc::clone(self.agent(id)?);
        let connection = agent.connect().await.map_err(|error| {
            tracing::debug!("could not connect to the SSH agent: {error}");
            Status::unavailable("could not connect to the SSH agent")
        })?;
        Ok(Response::new(Box::pin(responses(
            request.into_inner(),
            connection,
        ))))
    }
}

/// The responses to the messages in `pieces`, one after the other: the next message is read after its predecessor's response was
/// sent.
///
/// A client that ends its side still gets the responses to all complete messages.
fn responses(
    pieces: impl Stream<Item = Result<BytesMessage, Status>> + Send + Unpin + 'static,
    connection: Connection,
) -> impl Stream<Item = Result<BytesMessage, Status>> + Send + 'static {
    let state = (pieces, connection, Frames::default());
    stream::try_unfold(state, async |(mut pieces, mut connection, mut frames)| {
        use futures_util::StreamExt as _;
        loop {
            let message = frames.next();
            let message = message.map_err(|error| Status::invalid_argument(error.to_string()))?;
            if let Some(message) = message {
                let data = connection.respond(message).await;
                return Ok(Some((BytesMessage { data }, (pieces, connection, frames))));
            }
            match pieces.next().await {
                Some(piece) => frames.push(&piece?.data),
                None => return Ok(None),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, TryStreamExt};

    use super::*;
    use crate::ssh::{FAILURE, REQUEST_IDENTITIES};

    fn agents() -> Agents {
        Agents::new([("default".into(), Agent::Keys(Vec::new()))])
    }

    /// The responses to these pieces of a stream, up to the first error.
    async fn respond(pieces: &[&[u8]]) -> (Vec<u8>, Option<tonic::Code>) {
        let agent = Arc::clone(agents().get("default").unwrap());
        let connection = agent.connect().await.unwrap();
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| {
                Ok(BytesMessage {
                    data: piece.to_vec(),
                })
            })
            .collect();
        let mut responses = std::pin::pin!(responses(stream::iter(pieces), connection));
        let mut bytes = Vec::new();
        loop {
            match responses.try_next().await {
                Ok(Some(response)) => bytes.extend(response.data),
                Ok(None) => return (bytes, None),
                Err(status) => return (bytes, Some(status.code())),
            }
        }
    }

    #[tokio::test]
    async fn messages_are_answered_after_the_client_ended_its_side() {
        let identities = [0, 0, 0, 1, REQUEST_IDENTITIES];
        let lock = [0, 0, 0, 1, 22];
        let empty = [0, 0, 0, 5, 12, 0, 0, 0, 0];
        let failure = [0, 0, 0, 1, FAILURE];
        // Both in one piece, and in pieces of one byte; the last message is incomplete.
        let both = [&identities[..], &lock, &identities[..3]].concat();
        let single: Vec<&[u8]> = both.chunks(1).collect();
        for pieces in [&[&*both][..], &single] {
            assert_eq!(
                respond(pieces).await,
                ([&empty[..], &failure].concat(), None)
            );
        }
        assert_eq!(respond(&[]).await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_ends_the_connection() {
        let identities = [0, 0, 0, 1, REQUEST_IDENTITIES];
        let (bytes, code) = respond(&[&identities, &[0, 4, 0, 1], &[1]]).await;
        assert_eq!(bytes.len(), 9);
        assert_eq!(code, Some(tonic::Code::InvalidArgument));
    }

    #[tokio::test]
    async fn an_incomplete_message_waits_for_its_rest() {
        let agent = Arc::clone(agents().get("default").unwrap());
        let connection = agent.connect().await.unwrap();
        let piece = stream::iter([Ok(BytesMessage {
            data: vec![0, 0, 0],
        })]);
        let mut responses = std::pin::pin!(responses(piece.chain(stream::pending()), connection));
        let next = futures_util::poll!(responses.next());
        assert!(next.is_pending());
    }

    #[tokio::test]
    async fn an_unknown_id_is_not_forwarded() {
        let ssh = Ssh::new(agents());
        for (id, code) in [
            ("", None),
            ("default", None),
            ("other", Some(tonic::Code::Unimplemented)),
        ] {
            let checked = ssh
                .check_agent(Request::new(CheckAgentRequest { id: id.into() }))
                .await;
            assert_eq!(checked.err().map(|status| status.code()), code, "{id}");
        }
    }
}
