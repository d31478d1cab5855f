//! SSH keys and agents: signatures for the SSH clients of a build, without the keys themselves.
//!
//! An agent lists its public keys and signs with them ("SSH Agent Protocol", draft-ietf-sshm-ssh-agent). It is either a list of private
//! keys in this process, or the socket of another agent. Both answer the same two requests, for identities and for signatures, and
//! every other request with a failure: a client can neither add, remove nor lock keys, and cannot use extensions.

mod agent;
mod frames;
mod key;
mod message;
mod socket;
mod wire;

pub(crate) use self::agent::{Agent, Agents, Connection};
pub(crate) use self::frames::Frames;
pub(crate) use self::key::{KEY_LIMIT_BYTES, KeyError, PrivateKey, secrets_of};
#[cfg(test)]
pub(crate) use self::message::{FAILURE, REQUEST_IDENTITIES};
pub(crate) use self::socket::SocketError;
