//! Responses of Depot's API.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::{assert_harmless, status};
use crate::buildkit::MutualTls;
use crate::depot::Saved;
use crate::depot::api::{foreign, refusal, stream_refusal};
use crate::depot::machine::Endpoint;
use crate::depot::machine::{machine, time_left};
use crate::depot::messages::{
    CreateBuildResponse, GetBuildKitConnectionResponse, GetPullInfoResponse, MachineConnection,
    ReportBuildHealthResponse,
};
use crate::platform::Architecture;
use crate::text::cause::one_line;

const METHOD: &str = "CreateBuild";

/// The longest text of an error, in characters: the message of the server, and the text around it.
const ERROR_LIMIT_CHARS: usize = 2500;

/// Reads an error. The input contains an HTTP status in two bytes, and a body: an error, a foreign page, or the envelopes of
/// a stream.
pub fn depot_errors(bytes: &[u8]) {
    let (status, body) = status(bytes);
    let errors = [
        Some(refusal(METHOD, status, body)),
        Some(foreign(METHOD, status, body)),
        stream_refusal(METHOD, Bytes::copy_from_slice(body)),
    ];
    for error in errors.into_iter().flatten() {
        let text = one_line(&error);
        assert_harmless(&text);
        assert!(text.chars().count() <= ERROR_LIMIT_CHARS, "{text}");
        // A refusal is final, or the call is retried; a quota is both.
        let _facts = (error.is_transient(), error.is_refusal(), error.code());
    }
}

/// Reads a response as each of the messages that are used.
pub fn depot_responses(bytes: &[u8]) {
    if let Ok(created) = CreateBuildResponse::decode(bytes) {
        let pushed = created.additional_tags.iter().filter(|tag| tag.push);
        let (pushed, logins) = (pushed.count(), created.additional_credentials.len());
        let saved = Saved::new(created.additional_tags, created.additional_credentials);
        assert_eq!(saved.references.len(), pushed);
        assert!(saved.credentials.len() <= logins);
    }
    if let Ok(response) = GetBuildKitConnectionResponse::decode(bytes)
        && let Some(MachineConnection::Active(active)) = response.connection
        && let Ok(machine) = machine(Architecture::Amd64, active)
    {
        let again = Endpoint::parse(&format!("tcp://{}", machine.endpoint));
        assert_eq!(again.as_ref(), Some(&machine.endpoint));
        if let Some(tls) = machine.tls {
            let tls = MutualTls {
                server_name: tls.server_name,
                authority: tls.authority,
                certificate: tls.certificate,
                key: tls.key,
            };
            let _usable = tls.client_config().is_ok();
        }
    }
    if let Ok(response) = ReportBuildHealthResponse::decode(bytes)
        && let Some(moment) = response.cancels_at
    {
        let left = time_left(moment);
        assert!(left.is_none_or(|left| left <= Duration::MAX));
    }
    if let Ok(pull) = GetPullInfoResponse::decode(bytes) {
        let _shown = format!("{pull:?}");
    }
}
