//! A BuildKit client.
//!
//! One connection to a builder carries everything: the solve, its status, and the session over which
//! the builder requests files and registry tokens. The client works with BuildKit 0.11 and later.
//! It contains nothing about a vendor of builders.

mod connect;
mod content;
mod definition;
mod error;
mod gateway;
mod io;
mod pushes;
pub(crate) mod session;
mod solve;
mod tls;
mod version;
mod wire;

pub(crate) use connect::{Address, CONNECT_LIMIT, ConnectError, Connection, Verification};
pub(crate) use definition::{TextFile, directory};
pub(crate) use error::{
    CANCELED, ErrorKind, KnownCause, Mounts, Refusal, RegistryAction, SolveError, Source,
    SshFailure, is_lost, status_message,
};
pub(crate) use gateway::Input;
pub(crate) use pushes::Pushes;
pub(crate) use solve::{Export, ExternalCache, Solve, Solved};
pub(crate) use tls::MutualTls;
