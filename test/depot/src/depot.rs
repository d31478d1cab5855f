//! The local Depot as a whole: started, asked, stopped.

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

/// Why a stand-in did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port on loopback could not be opened.
    #[error("no port could be opened on loopback")]
    Port(#[source] std::io::Error),
    /// A machine could not be given its certificates.
    #[error("a machine has no certificates")]
    Certificate(#[from] CertificateError),
    /// There is no randomness for tokens.
    #[error("{0}")]
    Random(String),
}

/// What [`LocalDepot::wait_for`] waited for did not come about.
#[derive(Debug, thiserror::Error)]
#[error("waited {limit:?} in vain for {what}; the stand-in saw: {record:#?}")]
pub struct WaitError {
    what: String,
    limit: Duration,
    record: Box<Record>,
}

/// What [`LocalDepot::check`] found.
#[derive(Debug, thiserror::Error)]
#[error("the stand-in was not used as planned: {}", .0.join("; "))]
pub struct Unforeseen(pub Vec<String>);

/// A local Depot: its API and a machine for each architecture.
///
/// Dropping it ends everything that it started; [`LocalDepot::stop`] also waits for that. The builder behind the machines
/// is the caller's, and can serve many stand-ins.
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
    /// Starts a local Depot whose machines lead to `builder` and which behaves as `scenario` says.
    ///
    /// Must be called within a tokio runtime, and lives on it.
    ///
    /// One builder serves both machines. An ARM64 image whose Dockerfile only copies is built on any processor. But the
    /// machines share their image store then, which those at Depot do not: of two exports that would create the same name
    /// at the same moment, one fails with `already exists`. Have a build create that name first, or use
    /// [`LocalDepot::start_on`].
    ///
    /// # Errors
    /// When loopback has no port left, or a certificate cannot be made.
    pub async fn start(builder: Arc<dyn Builder>, scenario: Scenario) -> Result<Self, StartError> {
        Self::start_on(Arc::clone(&builder), builder, scenario).await
    }

    /// The same with a builder for each architecture, as Depot has it: what one machine knows, the other does not.
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

    /// What `DEPOT_API_URL` has to be.
    #[must_use]
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// The user's token, what `DEPOT_TOKEN` has to be. Another one each time.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.user_token
    }

    /// The one project that exists, what `DEPOT_PROJECT_ID` has to be. Another one each time.
    #[must_use]
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// A machine, to cut its connections or let it die.
    #[must_use]
    pub fn machine(&self, architecture: Architecture) -> &Machine {
        match architecture {
            Architecture::Amd64 => &self.amd64,
            Architecture::Arm64 => &self.arm64,
        }
    }

    /// The API is gone: its connections end, new ones are refused. The machines stay.
    ///
    /// # Errors
    /// When its port cannot be kept.
    pub async fn close_api(&self) -> std::io::Result<()> {
        self.server.close().await
    }

    /// The API is back, under the same address.
    ///
    /// # Errors
    /// When its port cannot be listened on.
    pub fn open_api(&self) -> std::io::Result<()> {
        self.server.open()
    }

    /// From now on, every health report is answered with the wish that the build be stopped.
    pub fn cancel_builds(&self) {
        self.api.cancel_builds();
    }

    /// What was seen until now.
    #[must_use]
    pub fn record(&self) -> Record {
        self.recorder.snapshot()
    }

    /// Waits until the record satisfies `predicate`, which is asked after each change, and returns that record.
    ///
    /// # Errors
    /// When `limit` has passed; the error tells `what` was waited for, and what was seen instead.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        predicate: impl FnMut(&Record) -> bool,
    ) -> Result<Record, WaitError> {
        let mut record = self.recorder.subscribe();
        // The sender lives in `self`, so that the channel cannot close while we wait.
        if let Ok(Ok(satisfying)) = tokio::time::timeout(limit, record.wait_for(predicate)).await {
            return Ok(satisfying.clone());
        }
        Err(WaitError {
            what: what.to_owned(),
            limit,
            record: Box::new(self.record()),
        })
    }

    /// Whether all went as planned: no call that Depot's API does not know, and every planned fault met.
    ///
    /// # Errors
    /// Each thing that did not, as a sentence.
    pub fn check(&self) -> Result<(), Unforeseen> {
        let mut sentences = self.record().unforeseen;
        sentences.extend(self.api.unmet_faults());
        if sentences.is_empty() {
            Ok(())
        } else {
            Err(Unforeseen(sentences))
        }
    }

    /// Ends everything and waits until it has ended.
    pub async fn stop(self) {
        self.tasks.end().await;
    }
}

impl Drop for LocalDepot {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
