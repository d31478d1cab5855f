//! `grpc.health.v1.Health`: the health check, which the builder queries every five seconds.

use std::pin::Pin;

use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health as Methods, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use futures_util::Stream;
use tonic::{Request, Response, Status};

use super::failure::Failure;
use super::routes::Routes;
use super::service::Service;

/// Returns "serving" for every request: a session that responds is healthy.
///
/// Every session needs this service: a builder ends a session that does not respond.
pub(crate) struct Health;

impl Service for Health {
    fn methods(&self) -> &'static [&'static str] {
        &["/grpc.health.v1.Health/Check"]
    }

    fn mount(self: Box<Self>, routes: Routes, _failure: &Failure) -> Routes {
        routes.add_service(HealthServer::new(*self))
    }
}

#[tonic::async_trait]
impl Methods for Health {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Ok(Response::new(HealthListResponse {
            statuses: [(String::new(), serving())].into(),
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut is_sent = false;
        // The state never changes: one message, and then nothing until the caller ends the call.
        let states = futures_util::stream::poll_fn(move |_| {
            if is_sent {
                return std::task::Poll::Pending;
            }
            is_sent = true;
            std::task::Poll::Ready(Some(Ok(serving())))
        });
        Ok(Response::new(Box::pin(states)))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}
