//! The server side of the Connect protocol: codes, errors, and the two encodings of messages.
//!
//! Supports the parts that Depot's clients use: unary calls and client streams (see [`envelope`](crate::envelope)).
//! Compressed messages are rejected.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A response of this server.
pub(crate) type ApiResponse = Response<Full<Bytes>>;

/// The longest accepted message.
pub(crate) const MESSAGE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

macro_rules! codes {
    ($($code:ident $name:literal $status:literal $doc:literal;)*) => {
        /// Connect's error codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $doc] $code,)*
        }

        impl Code {
            /// The name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// The HTTP status of the code.
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }
        }
    };
}

codes! {
    Canceled "canceled" 499 "The caller canceled the call.";
    Unknown "unknown" 500 "The cause is unknown.";
    InvalidArgument "invalid_argument" 400 "The request is invalid in every state.";
    DeadlineExceeded "deadline_exceeded" 504 "The deadline has passed.";
    NotFound "not_found" 404 "The object does not exist.";
    AlreadyExists "already_exists" 409 "The object already exists.";
    PermissionDenied "permission_denied" 403 "The caller lacks permission.";
    ResourceExhausted "resource_exhausted" 429 "A quota or limit is reached.";
    FailedPrecondition "failed_precondition" 400 "The request is invalid in the current state.";
    Aborted "aborted" 409 "A concurrent change aborted the call.";
    OutOfRange "out_of_range" 400 "A value is out of range.";
    Unimplemented "unimplemented" 501 "The method does not exist.";
    Internal "internal" 500 "An internal error.";
    Unavailable "unavailable" 503 "The service is unavailable; a retry may succeed.";
    DataLoss "data_loss" 500 "Data was lost.";
    Unauthenticated "unauthenticated" 401 "Credentials are missing or invalid.";
}

/// An error as Connect sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl ConnectError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "code": self.code.name(), "message": self.message })
    }

    /// The response to a unary call: the code's HTTP status, and JSON for either encoding of the request.
    pub(crate) fn into_unary_response(self) -> ApiResponse {
        let status = StatusCode::from_u16(self.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response(
            status,
            HeaderValue::from_static("application/json"),
            self.json().to_string().into(),
        )
    }

    /// The text that ends a stream with this error.
    pub(crate) fn end_of_stream(&self) -> Bytes {
        serde_json::json!({ "error": self.json() })
            .to_string()
            .into()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.name(), self.message)
    }
}

/// A response with a body.
pub(crate) fn response(status: StatusCode, content_type: HeaderValue, body: Bytes) -> ApiResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// An encoding of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Protobuf,
    Json,
}

impl Codec {
    /// The codec of a content type: `prefix` is `application/` for unary calls, `application/connect+` for streams.
    pub(crate) fn of(content_type: &str, prefix: &str) -> Option<Self> {
        let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let utf8 =
            parameters.trim().is_empty() || parameters.trim().eq_ignore_ascii_case("charset=utf-8");
        match essence.trim().to_ascii_lowercase().strip_prefix(prefix)? {
            "proto" if parameters.is_empty() => Some(Self::Protobuf),
            "json" if utf8 => Some(Self::Json),
            _ => None,
        }
    }

    pub(crate) fn unary_content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/proto",
            Self::Json => "application/json",
        })
    }

    pub(crate) fn stream_content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/connect+proto",
            Self::Json => "application/connect+json",
        })
    }

    /// Decodes a message and returns whether all of its fields are known.
    ///
    /// A protobuf message that is longer than its own encoding has a field that Depot's messages do not have (or one twice,
    /// or one at its default). A correct client sends none of these.
    pub(crate) fn decode<M>(self, bytes: &[u8]) -> Result<(M, bool), ConnectError>
    where
        M: prost::Message + Default + DeserializeOwned,
    {
        let invalid = |error: String| {
            ConnectError::new(
                Code::InvalidArgument,
                format!("unreadable message: {error}"),
            )
        };
        match self {
            Self::Protobuf => {
                let message = M::decode(bytes).map_err(|error| invalid(error.to_string()))?;
                let is_known = message.encoded_len() == bytes.len();
                Ok((message, is_known))
            }
            Self::Json => {
                let mut value =
                    serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
                remove_nulls(&mut value);
                let message =
                    serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
                Ok((message, true))
            }
        }
    }

    pub(crate) fn encode<M: prost::Message + Serialize>(
        self,
        message: &M,
    ) -> Result<Bytes, ConnectError> {
        match self {
            Self::Protobuf => Ok(message.encode_to_vec().into()),
            Self::Json => serde_json::to_vec(message)
                .map(Bytes::from)
                .map_err(|error| ConnectError::new(Code::Internal, error.to_string())),
        }
    }
}

/// Removes null members, which are absent members in protobuf's JSON form. `serde_json` has already bounded the depth.
fn remove_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(remove_nulls);
        }
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// Checks the required and optional headers of this protocol.
pub(crate) fn check_headers(
    headers: &HeaderMap,
    encoding: &header::HeaderName,
) -> Result<(), ConnectError> {
    let text =
        |name: &header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match text(&header::HeaderName::from_static("connect-protocol-version")) {
        Some("1") => {}
        Some(other) => {
            let message = format!("connect-protocol-version must be 1, not `{other}`");
            return Err(ConnectError::new(Code::InvalidArgument, message));
        }
        None => {
            return Err(ConnectError::new(
                Code::InvalidArgument,
                "connect-protocol-version is missing",
            ));
        }
    }
    if let Some(timeout) = text(&header::HeaderName::from_static("connect-timeout-ms"))
        && (timeout.is_empty()
            || timeout.len() > 10
            || !timeout.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(ConnectError::new(
            Code::InvalidArgument,
            "connect-timeout-ms must be up to ten digits",
        ));
    }
    match text(encoding) {
        None | Some("identity") => Ok(()),
        Some(other) => Err(ConnectError::new(
            Code::Unimplemented,
            format!("unknown compression `{other}`: supported is identity"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{
        CreateBuildRequest, FinishBuildRequest, FinishResult, GetBuildKitConnectionRequest,
    };

    #[test]
    fn the_content_type_selects_the_codec() {
        assert_eq!(
            Codec::of("application/proto", "application/"),
            Some(Codec::Protobuf)
        );
        assert_eq!(
            Codec::of("application/json; charset=UTF-8", "application/"),
            Some(Codec::Json)
        );
        assert_eq!(
            Codec::of("application/connect+proto", "application/connect+"),
            Some(Codec::Protobuf)
        );
        assert_eq!(Codec::of("application/connect+proto", "application/"), None);
        assert_eq!(
            Codec::of("application/json; charset=latin1", "application/"),
            None
        );
        assert_eq!(Codec::of("text/html", "application/"), None);
    }

    #[test]
    fn json_accepts_both_spellings_enum_names_and_nulls() {
        let text = br#"{"project_id": "p", "requiredEngine": null, "options": [
            {"command": "COMMAND_BUILD", "saveTags": ["a"], "outputs": [{"kind": "image", "attributes": {"push_it": "true"}}]},
            {"command": 2, "target_name": "t"}]}"#;
        let (request, _): (CreateBuildRequest, _) = Codec::Json.decode(text).unwrap();
        assert_eq!(request.project_id.as_deref(), Some("p"));
        let [first, second] = &request.options[..] else {
            panic!("two options: {request:?}")
        };
        assert_eq!((first.command, second.command), (1, 2));
        let attribute = first
            .outputs
            .first()
            .and_then(|output| output.attributes.get("push_it"));
        assert_eq!(attribute.map(String::as_str), Some("true"));
        assert_eq!(second.target_name.as_deref(), Some("t"));
        let written = String::from_utf8(Codec::Json.encode(&request).unwrap().to_vec()).unwrap();
        assert!(
            written.contains(r#""projectId":"p""#)
                && written.contains(r#""command":"COMMAND_BUILD""#),
            "{written}"
        );
    }

    #[test]
    fn json_shows_a_oneof_as_the_member_that_is_set() {
        let (request, _): (FinishBuildRequest, _) = Codec::Json
            .decode(br#"{"buildId": "b", "error": {"error": "no"}}"#)
            .unwrap();
        assert!(
            matches!(request.result, Some(FinishResult::Error(ref error)) if error.error == "no"),
            "{request:?}"
        );
        let written = Codec::Json.encode(&request).unwrap();
        assert_eq!(&written[..], br#"{"buildId":"b","error":{"error":"no"}}"#);
        let (request, _): (FinishBuildRequest, _) =
            Codec::Json.decode(br#"{"canceled": {}}"#).unwrap();
        assert!(
            matches!(request.result, Some(FinishResult::Canceled(_))),
            "{request:?}"
        );
        let (request, _): (FinishBuildRequest, _) = Codec::Json.decode(b"{}").unwrap();
        assert_eq!(request.result, None);
    }

    #[test]
    fn an_unknown_enum_name_is_rejected() {
        let error = Codec::Json
            .decode::<GetBuildKitConnectionRequest>(br#"{"platform": "RISCV"}"#)
            .unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
    }

    #[test]
    fn an_unknown_field_is_detected() {
        // Field 15, one byte of text.
        let (request, is_known): (GetBuildKitConnectionRequest, _) = Codec::Protobuf
            .decode(&[0x0a, 1, b'b', 0x7a, 1, b'x'])
            .unwrap();
        assert_eq!(request.build_id, "b");
        assert!(!is_known);
        let (_, is_known): (GetBuildKitConnectionRequest, _) =
            Codec::Protobuf.decode(&[0x0a, 1, b'b']).unwrap();
        assert!(is_known);
    }

    #[test]
    fn deep_nesting_is_an_error_and_overflows_no_stack() {
        let text = "[".repeat(100_000);
        assert!(
            Codec::Json
                .decode::<GetBuildKitConnectionRequest>(text.as_bytes())
                .is_err()
        );
    }
}
