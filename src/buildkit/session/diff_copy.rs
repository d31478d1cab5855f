//! `DiffCopy`, the only method of both BuildKit file services, as a gRPC service.

use std::convert::Infallible;
use std::future::{self, Future};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic_prost::ProstCodec;

use crate::buildkit::connect::MESSAGE_LIMIT_BYTES;

/// A boxed future.
pub(super) type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A service that copies files, with the same message type in both directions.
pub(super) trait DiffCopy<Packet>:
    StreamingService<
        Packet,
        Response = Packet,
        ResponseStream: Stream<Item = Result<Packet, Status>> + Send + 'static,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The service's full name.
    const NAME: &'static str;
    /// The method's path.
    const PATH: &'static str;
}

/// The service in the form that gRPC requires.
#[derive(Clone, Debug)]
pub(super) struct Mounted<Service, Packet>(pub(super) Service, PhantomData<fn() -> Packet>);

impl<Service: DiffCopy<Packet>, Packet> Mounted<Service, Packet> {
    pub(super) fn new(service: Service) -> Self {
        Self(service, PhantomData)
    }
}

impl<Service: DiffCopy<Packet>, Packet> NamedService for Mounted<Service, Packet> {
    const NAME: &'static str = Service::NAME;
}

impl<Service, Packet> tower_service::Service<http::Request<Body>> for Mounted<Service, Packet>
where
    Service: DiffCopy<Packet>,
    Packet: Message + Default + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != Service::PATH {
            // TarStream: a BuildKit that supports DiffCopy never calls it.
            let status = Status::unimplemented("only DiffCopy is served");
            return Box::pin(future::ready(Ok(status.into_http())));
        }
        let service = self.0.clone();
        Box::pin(async move {
            let codec: ProstCodec<Packet, Packet> = ProstCodec::default();
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(
                Some(MESSAGE_LIMIT_BYTES),
                Some(MESSAGE_LIMIT_BYTES),
            );
            Ok(grpc.streaming(service, request).await)
        })
    }
}
