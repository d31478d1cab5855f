//! Faults that some registries have at times, and that a real one cannot produce on request.

use std::time::Duration;

use http::Method;

use super::record::Seen;

/// The replacement for the registry's response.
#[derive(Clone, Debug)]
pub enum RegistryFault {
    /// A response with this status and these headers.
    Answer(u16, Vec<(&'static str, String)>),
    /// A response with this status and this JSON.
    Refuse(u16, &'static str),
    /// The registry handles the request, and the connection ends instead of its response. An error is passed on.
    LoseAnswer,
    /// This status if the body has an OCI media type, as from a registry that supports only Docker's types.
    RefuseOci(u16),
    /// The registry's response, delayed.
    Delay(Duration),
    /// The end of the connection after this many bytes of the request's body.
    CutAfter(u64),
    /// The registry's response, cut after this many bytes of its body. Responses with an error are passed on.
    CutAnswerAfter(usize),
}

/// A fault and the requests that it affects.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The host.
    pub host: String,
    /// The method.
    pub method: Method,
    /// A text that the path contains.
    pub path_part: &'static str,
    /// The number of requests.
    pub times: usize,
    /// The fault.
    pub fault: RegistryFault,
}

impl Planned {
    /// Whether the fault affects a request.
    pub(super) fn applies_to(&self, request: &Seen) -> bool {
        let is_oci = request.media_type.starts_with("application/vnd.oci.");
        self.times > 0
            && self.host == request.host
            && self.method == request.method
            && request.path.contains(self.path_part)
            && (is_oci || !matches!(self.fault, RegistryFault::RefuseOci(_)))
    }
}
