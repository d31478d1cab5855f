//! The registries of a run: logins, tokens, and a client.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::task::JoinSet;

use super::Result;
use super::ecr::{AmazonLogins, Named};
use super::failure::Failure;
use crate::config::Plan;
use crate::config::plan::Destinations;
use crate::depot::{RegistryLogins, Saved};
use crate::http::proxies::Proxies;
use crate::ordered::IntoOrdered;
use crate::registry::client::Client;
use crate::registry::credentials::{Credential, canonical_host};
use crate::registry::ecr::{Ecr, EcrError, EcrHost, Ensured, Keys};
use crate::registry::keyring::Keyring;
use crate::registry::reach::Reach;
use crate::registry::reference::Reference;
use crate::registry::token::Tokens;
use crate::report::mask::Masker;

/// How long a connection to a registry may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Access to registries, shared by all images.
pub(super) struct Registries {
    pub(super) keyring: Arc<Keyring>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) client: Arc<Client>,
    ecr: Arc<Ecr>,
    creates_repositories: bool,
    /// Running probes; see [`Self::probe`]. Dropping this stops them.
    probes: Mutex<JoinSet<()>>,
}

impl Registries {
    /// Access with the logins of the plan, the logins that Depot issued for this build, and Amazon's, which are created on request.
    pub(super) fn new(plan: &Plan, saved: &Saved, masker: &Masker) -> Result<Self> {
        let tls = crate::http::roots::client_config(&plan.authorities).map_err(Failure::Tls)?;
        let proxies = &plan.proxies;
        let http = client(proxies, &tls)?;
        let direct = client(&Proxies::default(), &tls)?;
        let secrets = masker.clone();
        let ecr = Arc::new(Ecr::new(
            http,
            direct,
            plan.registries.aws.clone(),
            Arc::new(move |secret: &str| secrets.add(secret)),
        ));
        let of_depot = saved.credentials.iter().map(|(host, username, password)| {
            Credential::new(host, username.clone(), password.clone())
        });
        // Depot's come first, because they are for this build only.
        let all = of_depot.chain(plan.registries.credentials.iter().cloned());
        let caches = plan
            .built()
            .flat_map(|image| image.caches.exported_references());
        let mut pushed = plan
            .destinations()
            .flat_map(Destinations::pushed)
            .chain(caches);
        let pushes_public = pushed.any(|name| EcrHost::parse(name.host()) == Some(EcrHost::Public));
        let aws = &plan.registries.aws;
        let Named {
            hosts: mut named,
            images,
        } = super::ecr::named(plan);
        let of_depot = saved
            .credentials
            .iter()
            .map(|(host, ..)| canonical_host(host));
        named.extend(of_depot);
        let logins = plan.registries.credentials.iter().map(Credential::host);
        let insecure = &plan.registries.insecure;
        let local = named
            .iter()
            .chain(insecure)
            .map(String::as_str)
            .chain(logins);
        let mut reach = Reach::new(proxies, &tls, bounded)
            .map_err(Failure::Client)?
            .naming(local);
        let amazon = Arc::new(AmazonLogins::new(
            Arc::clone(&ecr),
            aws,
            pushes_public,
            named,
        ));
        let mut keyring = Keyring::new(all.collect()).with_source(amazon);
        if let Some(token) = plan.depot_token() {
            keyring = keyring.with_source(Arc::new(RegistryLogins::new(token.clone())));
        }
        let keyring = Arc::new(keyring);
        if !insecure.is_empty() {
            let unchecked = crate::http::roots::unchecked_client_config().map_err(Failure::Tls)?;
            reach = reach.trusting(insecure, client(proxies, &unchecked)?);
        }
        let fetched = masker.clone();
        let tokens = Tokens::new(reach, Arc::clone(&keyring))
            .with_images(images)
            .with_listener(Arc::new(move |token: &str| fetched.add_foreign(token)));
        let tokens = Arc::new(tokens);
        let client = Arc::new(Client::new(Arc::clone(&tokens)));
        Ok(Self {
            keyring,
            tokens,
            client,
            ecr,
            creates_repositories: plan.registries.create_repositories,
            probes: Mutex::default(),
        })
    }

    /// Requests the logins that are created on request, and creates Amazon's repositories if the plan says so, for all registries at
    /// once. So an error is found before minutes of building.
    pub(super) async fn prepare(&self, names: &[Reference]) -> Result<()> {
        let hosts: BTreeSet<&str> = names.iter().map(Reference::host).into_ordered();
        let logins = hosts.into_iter().map(async |host| {
            let login = self.keyring.for_host(host).await;
            login.map(|_| ()).map_err(Failure::Credentials)
        });
        try_join_all(logins).await?;
        self.probe(names);
        if !self.creates_repositories {
            return Ok(());
        }
        let repositories: BTreeSet<(&str, &str)> = names
            .iter()
            .map(|name| (name.host(), name.repository()))
            .into_ordered();
        let creating = repositories.into_iter().map(async |(host, repository)| {
            let Some(registry) = EcrHost::parse(host) else {
                return Ok(());
            };
            match self.ecr.ensure_repository(&registry, repository).await {
                Ok(Ensured::Created) => {
                    tracing::info!("created the repository `{repository}` at `{host}`");
                    Ok(())
                }
                Ok(Ensured::Existed) => Ok(()),
                Err(source) => Err(Failure::Repository {
                    host: host.to_owned(),
                    repository: repository.to_owned(),
                    source: Box::new(source),
                }),
            }
        });
        try_join_all(creating).await.map(|_| ())
    }

    /// Keys for a cache in S3 in `region`, of the identity that is configured for AWS; `None` if none is.
    pub(super) async fn cache_keys(
        &self,
        region: &str,
    ) -> std::result::Result<Option<Keys>, EcrError> {
        self.ecr.session_keys(region).await
    }

    /// Queries each registry for its authentication scheme while the image is built, so that a push need not wait for it.
    fn probe(&self, names: &[Reference]) {
        let hosts = names.iter().map(|name| name.host().to_owned());
        let hosts: BTreeSet<String> = hosts.into_ordered();
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        for host in hosts {
            let tokens = Arc::clone(&self.tokens);
            probes.spawn(async move { tokens.probe_ahead(&host).await });
        }
    }

    /// Reports logins that were not used: their hosts are often misspelled.
    pub(super) fn report_unused(&self) {
        let unused = self.keyring.unused().into_iter();
        for credential in unused.filter(|credential| !credential.is_automatic()) {
            if let Some(origin) = credential.origin() {
                tracing::info!(
                    "the login for `{}` ({origin}) was not needed by this build",
                    credential.host()
                );
            }
        }
    }
}

fn bounded(client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    client.connect_timeout(CONNECT_LIMIT)
}

fn client(proxies: &Proxies, tls: &rustls::ClientConfig) -> Result<reqwest::Client> {
    let client = bounded(proxies.client(tls.clone()));
    client.build().map_err(Failure::Client)
}
