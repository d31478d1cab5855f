//! Passes the builder's calls to the services of a session.
//!
//! `tonic` has a router for any number of paths, on top of a web framework. A session has a few services with fixed names, so a
//! search of their list is enough, and a body is not wrapped twice.

use std::convert::Infallible;
use std::future;

use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;

use super::diff_copy::Answering;

type Response = Result<http::Response<Body>, Infallible>;

/// The services by their names.
#[derive(Default)]
pub(crate) struct Routes(Vec<(&'static str, Box<dyn Handler>)>);

impl Routes {
    /// Adds a service.
    #[must_use]
    pub(super) fn add_service<Service: Handler + NamedService + 'static>(
        mut self,
        service: Service,
    ) -> Self {
        self.0.push((Service::NAME, Box::new(service)));
        self
    }

    /// Passes a call to its service.
    pub(super) fn pass(&self, request: http::Request<Body>) -> Answering<Response> {
        match self.service_of(request.uri().path()) {
            Some(service) => service.handle(request),
            None => {
                let status = Status::unimplemented("the service is not served");
                Box::pin(future::ready(Ok(status.into_http())))
            }
        }
    }

    /// The service whose method has the path `/service/method`.
    fn service_of(&self, path: &str) -> Option<&dyn Handler> {
        let (name, _) = path.strip_prefix('/')?.split_once('/')?;
        let mut services = self.0.iter();
        let (_, service) = services.find(|(known, _)| *known == name)?;
        Some(&**service)
    }
}

impl hyper::service::Service<http::Request<Incoming>> for Routes {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<Response>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        self.pass(request.map(Body::new))
    }
}

/// A gRPC service, which is always ready.
pub(super) trait Handler: Send + Sync {
    fn handle(&self, request: http::Request<Body>) -> Answering<Response>;
}

impl<Service> Handler for Service
where
    Service: tower_service::Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = Infallible,
            Future = Answering<Response>,
        > + Clone
        + Send
        + Sync,
{
    fn handle(&self, request: http::Request<Body>) -> Answering<Response> {
        self.clone().call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that is never called.
    struct Named;

    impl NamedService for Named {
        const NAME: &'static str = "moby.filesync.v1.Auth";
    }

    impl Handler for Named {
        fn handle(&self, _: http::Request<Body>) -> Answering<Response> {
            Box::pin(future::pending())
        }
    }

    #[test]
    fn a_call_gets_to_the_service_with_exactly_its_name() {
        let routes = Routes::default().add_service(Named);
        for (path, is_served) in [
            ("/moby.filesync.v1.Auth/Credentials", true),
            ("/moby.filesync.v1.Auth/", true),
            ("/moby.filesync.v1.Auth", false),
            ("/moby.filesync.v1.AuthX/Credentials", false),
            ("/moby.filesync.v1.Aut/Credentials", false),
            ("moby.filesync.v1.Auth/Credentials", false),
            ("//moby.filesync.v1.Auth/Credentials", false),
            ("/", false),
            ("", false),
        ] {
            assert_eq!(routes.service_of(path).is_some(), is_served, "{path}");
        }
    }
}
