//! One call from its first header to its response: routing, planned faults, reading, recording.

use std::future;
use std::sync::Arc;

use bytes::Bytes;
use depot_ground::wire::ResetSwitch;
use http::{HeaderValue, Request as HttpRequest, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{Api, Method, blobs, require_build};
use crate::connect::{
    self, ApiResponse, Code, Codec, ConnectError, MESSAGE_LIMIT_BYTES, check_headers,
};
use crate::envelope::{self, Envelopes};
use crate::faults::Fault;
use crate::messages::{Empty, ReportStatusStreamRequest};
use crate::record::{Call, CallNumber, Outcome, Request, TokenKind};

/// The most messages of one stream; more than any test or benchmark sends.
const MAX_STREAM_MESSAGES: u32 = 100_000;

/// The TCP connection of a call, to reset it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) switch: ResetSwitch,
    /// Ends the connection.
    pub(crate) cut: CancellationToken,
}

/// A recorded call of a known method.
struct Exchange {
    api: Arc<Api>,
    number: CallNumber,
    method: Method,
    token: TokenKind,
    content_type: String,
    request: HttpRequest<Incoming>,
    fault: Option<Fault>,
    connection: Connection,
}

/// Responds to one call. May be dropped at any time: the record then shows a call without a response.
pub(crate) async fn exchange(
    api: Arc<Api>,
    connection: Connection,
    request: HttpRequest<Incoming>,
) -> ApiResponse {
    if blobs::is_for(&request) {
        return blobs::exchange(&api, request).await;
    }
    let path = request.uri().path();
    let Some(method) = Method::of_path(path) else {
        api.recorder
            .unforeseen(format!("{} {path}", request.method()));
        return ConnectError::new(Code::Unimplemented, format!("{path} is not implemented"))
            .into_unary_response();
    };
    if request.method() != http::Method::POST {
        api.recorder
            .unforeseen(format!("{method} by {} instead of POST", request.method()));
        return plain(
            StatusCode::METHOD_NOT_ALLOWED,
            header::ALLOW,
            HeaderValue::from_static("POST"),
        );
    }
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let content_type = text(header::CONTENT_TYPE);
    let token = api.token_kind(request.headers().get(header::AUTHORIZATION));
    let call = Call {
        at: api.recorder.elapsed(),
        connection: connection.number,
        method,
        http_version: request.version(),
        content_type: content_type.clone(),
        user_agent: text(header::USER_AGENT),
        token: token.clone(),
        request: None,
        outcome: None,
    };
    let Some(number) = api.recorder.call(call) else {
        return ConnectError::new(Code::ResourceExhausted, "too many calls").into_unary_response();
    };
    let fault = api.state().faults.next(method);
    let exchange = Exchange {
        api,
        number,
        method,
        token,
        content_type,
        request,
        fault,
        connection,
    };
    exchange.run().await
}

impl Exchange {
    async fn run(self) -> ApiResponse {
        if self.fault == Some(Fault::ResetBeforeReading) {
            return self.reset().await;
        }
        match self.method {
            Method::CreateBuild => self.unary(Api::create_build, Request::CreateBuild).await,
            Method::GetBuild => self.unary(Api::get_build, Request::GetBuild).await,
            Method::FinishBuild => self.unary(Api::finish_build, Request::FinishBuild).await,
            Method::GetBuildKitConnection => {
                self.unary(Api::get_buildkit_connection, Request::GetBuildKitConnection)
                    .await
            }
            Method::ReportBuildHealth => {
                self.unary(Api::report_build_health, Request::ReportBuildHealth)
                    .await
            }
            Method::ReportTimings => {
                self.unary(Api::report_timings, Request::ReportTimings)
                    .await
            }
            Method::ReportBuildContext => {
                self.unary(Api::report_build_context, Request::ReportBuildContext)
                    .await
            }
            Method::GetPullInfo => self.unary(Api::get_pull_info, Request::GetPullInfo).await,
            Method::GetPullToken => self.unary(Api::get_pull_token, Request::GetPullToken).await,
            Method::StartPush => self.unary(Api::start_push, Request::StartPush).await,
            Method::FinishPush => self.unary(Api::finish_push, Request::FinishPush).await,
            Method::ListProjects => self.unary(Api::list_projects, Request::ListProjects).await,
            Method::ReportStatusStream => self.stream().await,
        }
    }

    async fn unary<Q, A>(
        mut self,
        handle: fn(&Api, &TokenKind, &Q) -> Result<A, ConnectError>,
        recorded: fn(Q) -> Request,
    ) -> ApiResponse
    where
        Q: prost::Message + Default + DeserializeOwned + Clone,
        A: prost::Message + Serialize,
    {
        let Some(codec) = Codec::of(&self.content_type, "application/") else {
            return self.unsupported();
        };
        let request = match self.read_unary::<Q>(codec).await {
            Ok(request) => request,
            Err(error) => return self.refuse(error),
        };
        self.api.recorder.change_call(self.number, |call| {
            call.request = Some(recorded(request.clone()));
        });
        match self.fault.take() {
            Some(Fault::Error { code, message }) => {
                return self.refuse(ConnectError { code, message });
            }
            Some(Fault::Html { status }) => return self.html(status),
            Some(Fault::ResetBeforeReading | Fault::ResetAfterReading) => {
                return self.reset().await;
            }
            Some(Fault::Hang) => return future::pending().await,
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::LoseAnswer) => {
                let _lost = handle(&self.api, &self.token, &request);
                return self.reset().await;
            }
            None => {}
        }
        match handle(&self.api, &self.token, &request).and_then(|response| codec.encode(&response))
        {
            Ok(body) => {
                self.outcome(Outcome::Answered);
                connect::response(StatusCode::OK, codec.unary_content_type(), body)
            }
            Err(error) => self.refuse(error),
        }
    }

    async fn read_unary<Q>(&mut self, codec: Codec) -> Result<Q, ConnectError>
    where
        Q: prost::Message + Default + DeserializeOwned,
    {
        check_headers(self.request.headers(), &header::CONTENT_ENCODING)?;
        let body = Limited::new(self.request.body_mut(), MESSAGE_LIMIT_BYTES)
            .collect()
            .await
            .map_err(
                |error| match error.downcast::<http_body_util::LengthLimitError>() {
                    Ok(_) => ConnectError::new(
                        Code::ResourceExhausted,
                        format!("the message is longer than {MESSAGE_LIMIT_BYTES} bytes"),
                    ),
                    Err(error) => ConnectError::new(Code::Canceled, error.to_string()),
                },
            )?;
        decode(&self.api, self.method, codec, &body.to_bytes())
    }

    async fn stream(mut self) -> ApiResponse {
        let Some(codec) = Codec::of(&self.content_type, "application/connect+") else {
            return self.unsupported();
        };
        self.api.recorder.change_call(self.number, |call| {
            call.request = Some(Request::ReportStatusStream(Vec::new()));
        });
        match self.fault.take() {
            Some(Fault::Error { code, message }) => {
                return self.end_stream(codec, Err(ConnectError { code, message }));
            }
            Some(Fault::Html { status }) => return self.html(status),
            Some(Fault::Hang) => return future::pending().await,
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            // For these, the stream must be read first.
            fault @ (Some(
                Fault::ResetBeforeReading | Fault::ResetAfterReading | Fault::LoseAnswer,
            )
            | None) => {
                self.fault = fault;
            }
        }
        let outcome = self.read_stream(codec).await;
        if self.fault.is_some() {
            return self.reset().await;
        }
        self.end_stream(codec, outcome)
    }

    /// Reads messages until the client ends its stream. Each message takes effect when it arrives.
    async fn read_stream(&mut self, codec: Codec) -> Result<(), ConnectError> {
        let Self {
            api,
            number,
            method,
            token,
            request,
            fault,
            ..
        } = self;
        check_headers(
            request.headers(),
            &header::HeaderName::from_static("connect-content-encoding"),
        )?;
        let TokenKind::Build(build_id) = token else {
            return require_build(token, "");
        };
        api.state().running(build_id)?;
        let mut envelopes = Envelopes::new(request.body_mut());
        for _ in 0..MAX_STREAM_MESSAGES {
            let Some(bytes) = envelopes.next().await? else {
                return Ok(());
            };
            let message: ReportStatusStreamRequest = decode(api, *method, codec, &bytes)?;
            if *fault != Some(Fault::ResetAfterReading) {
                api.report_status(token, &message)?;
            }
            api.recorder.change_call(*number, |call| {
                if let Some(Request::ReportStatusStream(messages)) = &mut call.request {
                    messages.push(message);
                }
            });
            if *fault == Some(Fault::ResetAfterReading) {
                return Ok(());
            }
        }
        Err(ConnectError::new(
            Code::ResourceExhausted,
            "too many messages in a stream",
        ))
    }

    fn end_stream(&self, codec: Codec, outcome: Result<(), ConnectError>) -> ApiResponse {
        self.outcome(
            outcome
                .as_ref()
                .map_or_else(|error| Outcome::Refused(error.code), |()| Outcome::Answered),
        );
        let body = envelope::response_body(outcome.and_then(|()| codec.encode(&Empty {})));
        connect::response(StatusCode::OK, codec.stream_content_type(), body)
    }

    fn outcome(&self, outcome: Outcome) {
        self.api
            .recorder
            .change_call(self.number, |call| call.outcome = Some(outcome));
    }

    fn refuse(&self, error: ConnectError) -> ApiResponse {
        self.outcome(Outcome::Refused(error.code));
        error.into_unary_response()
    }

    fn html(&self, status: u16) -> ApiResponse {
        self.outcome(Outcome::Html(status));
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        let page = format!(
            "<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n"
        );
        connect::response(status, HeaderValue::from_static("text/html"), page.into())
    }

    /// Resets the connection: its task drops the socket, and with it this call.
    async fn reset(&self) -> ApiResponse {
        self.outcome(Outcome::Reset);
        self.connection.switch.arm();
        self.connection.cut.cancel();
        future::pending().await
    }

    fn unsupported(&self) -> ApiResponse {
        self.api
            .recorder
            .unforeseen(format!("{} as `{}`", self.method, self.content_type));
        self.outcome(Outcome::Refused(Code::Unknown)); // the code that clients derive from the bare status
        let accepted = match self.method {
            Method::ReportStatusStream => "application/connect+proto, application/connect+json",
            _ => "application/proto, application/json",
        };
        let name = header::HeaderName::from_static("accept-post");
        plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            name,
            HeaderValue::from_static(accepted),
        )
    }
}

fn decode<Q>(api: &Api, method: Method, codec: Codec, bytes: &[u8]) -> Result<Q, ConnectError>
where
    Q: prost::Message + Default + DeserializeOwned,
{
    let (message, understood) = codec.decode(bytes)?;
    if !understood {
        api.recorder.unforeseen(format!(
            "{method}: the message has fields that Depot's API does not have"
        ));
    }
    Ok(message)
}

fn plain(status: StatusCode, name: header::HeaderName, value: HeaderValue) -> ApiResponse {
    let mut response =
        connect::response(status, HeaderValue::from_static("text/plain"), Bytes::new());
    response.headers_mut().insert(name, value);
    response
}
