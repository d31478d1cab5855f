//! What real registries cannot be made to do, and some do at times.

use std::time::Duration;

use http::Method;

/// What happens in place of an answer.
#[derive(Clone, Debug)]
pub enum RegistryFault {
    /// This status, with these headers.
    Answer(u16, Vec<(&'static str, String)>),
    /// This status, with this JSON.
    Refuse(u16, &'static str),
    /// The registry does what it is asked for, and the connection ends in place of its answer. A refusal is passed on.
    LoseAnswer,
    /// The status, where the body is said to be of OCI: as of a registry that knows Docker's forms alone.
    RefuseOci(u16),
    /// The answer as it should be, so much later.
    Delay(Duration),
    /// The end of the connection after so many bytes of the request's body.
    CutAfter(u64),
}

/// A fault, and which requests meet it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// At this host.
    pub host: String,
    /// With this method.
    pub method: Method,
    /// Whose path holds this.
    pub path_part: &'static str,
    /// So many of them.
    pub times: usize,
    /// What happens.
    pub fault: RegistryFault,
}

impl Planned {
    /// Whether a request meets it.
    pub(super) fn fits(&self, host: &str, method: &Method, path: &str, media_type: &str) -> bool {
        let is_oci = media_type.starts_with("application/vnd.oci.");
        self.times > 0
            && self.host == host
            && self.method == *method
            && path.contains(self.path_part)
            && (is_oci || !matches!(self.fault, RegistryFault::RefuseOci(_)))
    }
}
