//! The local Depot as a whole: start, queries, stop.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use depot_ground::tasks::Tasks;

use crate::api::{Api, random_text};
use crate::authority::CertificateError;
use crate::machine::{Builder, Machine};
use crate::record::{Record, Recorder};
use crate::server::Server;
use crate::{Architecture, Scenario};

/// Why a local Depot could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port on loopback could not be opened.
    #[error("no port could be opened on loopback")]
    Port(#[source] std::io::Error),
    /// The certificates of a machine could not be created.
    #[error("the certificates of a machine could not be created")]
    Certificate(#[from] CertificateError),
    /// The system returned no random bytes for tokens.
    #[error("{0}")]
    Random(String),
}

/// [`LocalDepot::wait_for`] reached its limit.
#[derive(Debug, thiserror::Error)]
#[error("waited {limit:?} for {what}; the record: {record:#?}")]
pub struct WaitError {
    what: String,
    limit: Duration,
    record: Box<Record>,
}

/// Findings of [`LocalDepot::check`], as sentences.
#[derive(Debug, thiserror::Error)]
#[error("the local Depot was not used as planned: {}", .0.join("; "))]
pub struct Unforeseen(pub Vec<String>);

/// A local Depot: its API and a machine for each architecture.
///
/// Dropping this stops everything that it started; [`LocalDepot::stop`] also waits for the end. The builder behind the
/// machines belongs to the caller, and can serve several local Depots.
pub struct LocalDepot {
    api: Arc<Api>,
    server: Server,
    api_url: String,
    user_token: String,
    project_id: String,
    amd64: Machine,
    arm64: Machine,
    recorder: Arc<Recorder>,
    tasks: Tasks,
}

impl fmt::Debug for LocalDepot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LocalDepot")
            .field("api_url", &self.api_url)
            .finish_non_exhaustive()
    }
}

impl LocalDepot {
    /// Starts a local Depot with the behaviour of `scenario`, whose machines lead to `builder`.
    ///
    /// Must be called within a tokio runtime, which runs its tasks.
    ///
    /// One builder serves both machines. An ARM64 image whose Dockerfile only copies can be built on any processor. But the
    /// machines then share one image store, unlike those at Depot: if two exports create the same name at the same time, one
    /// fails with `already exists`. Create that name in a build before, or use [`LocalDepot::start_on`].
    ///
    /// # Errors
    /// If no port can be opened on loopback, or a certificate cannot be created.
    pub async fn start(builder: Arc<dyn Builder>, scenario: Scenario) -> Result<Self, StartError> {
        Self::start_on(Arc::clone(&builder), builder, scenario).await
    }

    /// As [`LocalDepot::start`], with a builder for each architecture, as at Depot: the machines share no state.
    ///
    /// # Errors
    /// As [`LocalDepot::start`].
    pub async fn start_on(
        amd64: Arc<dyn Builder>,
        arm64: Arc<dyn Builder>,
        scenario: Scenario,
    ) -> Result<Self, StartError> {
        let random = || random_text().map_err(|error| StartError::Random(error.to_string()));
        let user_token = match &scenario.tokens {
            Some((user, _)) => user.clone(),
            None => format!("local-user-{}", random()?),
        };
        let project_id: String = random()?.chars().take(10).collect();
        let recorder = Arc::new(Recorder::new());
        let tasks = Tasks::default();
        let machine = |architecture, builder| {
            let plan = scenario.plan(architecture).clone();
            Machine::start(architecture, plan, builder, Arc::clone(&recorder), &tasks)
        };
        let (amd64, amd64_address) = machine(Architecture::Amd64, amd64)?;
        let (arm64, arm64_address) = machine(Architecture::Arm64, arm64)?;
        let addresses = HashMap::from([
            (Architecture::Amd64, amd64_address),
            (Architecture::Arm64, arm64_address),
        ]);
        let api = Api::new(
            scenario,
            user_token.clone(),
            project_id.clone(),
            addresses,
            Arc::clone(&recorder),
        );
        let api = Arc::new(api);
        let server = Server::start(Arc::clone(&api), &tasks)
            .await
            .map_err(StartError::Port)?;
        let api_url = format!("http://{}", server.address());
        Ok(Self {
            api,
            server,
            api_url,
            user_token,
            project_id,
            amd64,
            arm64,
            recorder,
            tasks,
        })
    }

    /// The value for `DEPOT_API_URL`.
    #[must_use]
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// The user's token, the value for `DEPOT_TOKEN`. Different for each local Depot.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.user_token
    }

    /// The id of the only project, the value for `DEPOT_PROJECT_ID`. Different for each local Depot.
    #[must_use]
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// A machine, to cut its connections or end it.
    #[must_use]
    pub fn machine(&self, architecture: Architecture) -> &Machine {
        match architecture {
            Architecture::Amd64 => &self.amd64,
            Architecture::Arm64 => &self.arm64,
        }
    }

    /// Closes the API: its connections end, and new ones are refused. The machines stay open.
    ///
    /// # Errors
    /// If its port cannot be reserved.
    pub async fn close_api(&self) -> std::io::Result<()> {
        self.server.close().await
    }

    /// Opens the API again, at the same address.
    ///
    /// # Errors
    /// If its port cannot be opened.
    pub fn open_api(&self) -> std::io::Result<()> {
        self.server.open()
    }

    /// From now on, every response to a health report requests the end of the build.
    pub fn cancel_builds(&self) {
        self.api.cancel_builds();
    }

    /// The record until now.
    #[must_use]
    pub fn record(&self) -> Record {
        self.recorder.snapshot()
    }

    /// Waits until the record satisfies `predicate`, which is evaluated after each change, and returns that record.
    ///
    /// # Errors
    /// When `limit` has passed; the error contains `what` and the record.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        predicate: impl FnMut(&Record) -> bool,
    ) -> Result<Record, WaitError> {
        let mut record = self.recorder.subscribe();
        // The sender belongs to `self`, so the channel cannot close during the wait.
        if let Ok(Ok(satisfying)) = tokio::time::timeout(limit, record.wait_for(predicate)).await {
            return Ok(satisfying.clone());
        }
        Err(WaitError {
            what: what.to_owned(),
            limit,
            record: Box::new(self.record()),
        })
    }

    /// Verifies that only methods of Depot's API were called, and that every planned fault occurred.
    ///
    /// # Errors
    /// A sentence for each violation.
    pub fn check(&self) -> Result<(), Unforeseen> {
        let mut sentences = self.record().unforeseen;
        sentences.extend(self.api.unmet_faults());
        if sentences.is_empty() {
            Ok(())
        } else {
            Err(Unforeseen(sentences))
        }
    }

    /// Stops everything and waits until it has ended.
    pub async fn stop(self) {
        self.tasks.end().await;
    }
}

impl Drop for LocalDepot {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
