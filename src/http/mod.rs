//! What all HTTP clients of the program share: proxies, trusted authorities, retries, and the log of requests.
//!
//! Each caller decides what it sends where, and which failures are transient.

pub mod proxies;
pub(crate) mod retry;
pub mod roots;
pub(crate) mod trace;
pub(crate) mod zones;
