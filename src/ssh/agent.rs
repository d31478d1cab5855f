//! The agents that a build can use, each under an id.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::frames::framed;
use super::key::PrivateKey;
use super::message;
use super::socket::{self, SocketConnection, SocketError};
use crate::ordered::IntoOrdered;

/// The keys of one id.
#[derive(Debug)]
pub(crate) enum Agent {
    /// Keys in this process.
    Keys(Vec<PrivateKey>),
    /// The socket of another agent, by its absolute path.
    Socket(PathBuf),
}

/// Agents by their ids. Clones share the keys.
#[derive(Clone, Default)]
pub(crate) struct Agents(Arc<BTreeMap<String, Arc<Agent>>>);

impl Agents {
    /// Several agents, each under its id.
    pub(crate) fn new(agents: impl IntoIterator<Item = (String, Agent)>) -> Self {
        let agents = agents.into_iter();
        Self(Arc::new(
            agents
                .map(|(id, agent)| (id, Arc::new(agent)))
                .into_ordered(),
        ))
    }

    /// These agents, and those of `others` whose ids are not among them.
    pub(crate) fn or(&self, others: &Self) -> Self {
        let mut all = (*others.0).clone();
        all.extend(
            self.0
                .iter()
                .map(|(id, agent)| (id.clone(), Arc::clone(agent))),
        );
        Self(Arc::new(all))
    }

    /// The agent with this id.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Agent>> {
        self.0.get(id)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that an agent listens on each socket. Cancel safe.
    pub(crate) async fn check(&self) -> Result<(), SocketError> {
        for agent in self.0.values() {
            if let Agent::Socket(path) = &**agent {
                socket::check(path).await?;
            }
        }
        Ok(())
    }
}

/// Equal if they are the same agents, not if their keys are equal.
impl PartialEq for Agents {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.is_empty() && other.is_empty())
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Agent {
    /// Opens a connection to the agent.
    ///
    /// # Errors
    /// The socket of another agent does not accept it.
    pub(crate) async fn connect(self: Arc<Self>) -> io::Result<Connection> {
        let socket = match &*self {
            Self::Keys(_) => None,
            Self::Socket(path) => Some(SocketConnection::open(path).await?),
        };
        Ok(Connection {
            agent: self,
            socket,
        })
    }
}

/// A connection to an agent. Each client has one of its own.
pub(crate) struct Connection {
    agent: Arc<Agent>,
    socket: Option<SocketConnection>,
}

impl Connection {
    /// The response to a message, with its length. The message has none.
    ///
    /// A signature takes a few milliseconds on this thread. Not cancel safe: drop the connection with the future.
    pub(crate) async fn respond(&mut self, message: &[u8]) -> Vec<u8> {
        let response = match (&*self.agent, &mut self.socket) {
            (Agent::Keys(keys), _) => message::respond(keys, message),
            (Agent::Socket(_), Some(socket)) => socket.respond(message).await,
            (Agent::Socket(_), None) => message::failure(),
        };
        framed(&response)
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
