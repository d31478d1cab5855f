//! The services that a session offers to the builder. Each is registered by its own file.

use super::failure::Failure;
use super::routes::Routes;

/// A gRPC service that the builder can call through a session.
pub(crate) trait Service: Send {
    /// The paths of its methods, such as `/grpc.health.v1.Health/Check`. The builder calls only the methods that are announced
    /// when the session opens.
    fn methods(&self) -> &'static [&'static str];

    /// Adds the service to the session's server. It records in `failure` why it cannot provide the requested data.
    fn mount(self: Box<Self>, routes: Routes, failure: &Failure) -> Routes;
}

/// The services of a session, and the key of its files.
pub(crate) struct Services {
    pub(super) shared_key: String,
    list: Vec<Box<dyn Service>>,
}

impl Services {
    /// No services yet.
    ///
    /// `shared_key` identifies the files that the builder keeps between builds: with the same key, it requests only the files
    /// that have changed. Printable ASCII. Two directories must never share a key.
    pub(crate) fn new(shared_key: String) -> Self {
        let list = Vec::new();
        Self { shared_key, list }
    }

    /// Adds a service. A session has at most one of each kind.
    #[must_use]
    pub(crate) fn with(mut self, service: impl Service + 'static) -> Self {
        self.list.push(Box::new(service));
        self
    }

    /// The methods of all services.
    pub(super) fn methods(&self) -> impl Iterator<Item = &'static str> {
        let services = self.list.iter();
        services.flat_map(|service| service.methods()).copied()
    }

    /// The session's server.
    pub(super) fn into_routes(self, failure: &Failure) -> Routes {
        let services = self.list.into_iter();
        services.fold(Routes::default(), |routes, service| {
            service.mount(routes, failure)
        })
    }
}
