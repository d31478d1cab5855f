//! What all HTTP clients of the program share: proxies, trusted authorities, retries, bounded bodies, values that are
//! requested once, and the log of requests.
//!
//! Each caller decides what it sends where, and which failures are transient.

pub(crate) mod body;
pub mod proxies;
pub(crate) mod retry;
pub mod roots;
pub(crate) mod single_flight;
pub(crate) mod trace;
pub(crate) mod zones;
