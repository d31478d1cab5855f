//! A BuildKit client.
//!
//! One connection to a builder carries everything: the solve, its status, and the session over which
//! the builder requests files and registry tokens. The client works with BuildKit 0.11 and later.
//! It does not depend on Depot or Bitbucket.

mod connect;
mod content;
mod error;
mod io;
mod known_cause;
mod own_step;
mod pushes;
mod rejection;
pub mod session;
mod solve;
mod tls;
mod wire;

pub use connect::{Address, CONNECT_LIMIT, ConnectError, Connection};
pub use error::{ErrorKind, RegistryAction, SolveError, Source, is_lost, words};
pub use known_cause::KnownCause;
pub use own_step::{CANCELED, OwnStep};
pub use pushes::Pushes;
pub use solve::{Export, Solve, Solved};
pub use tls::{MutualTls, TlsError};
