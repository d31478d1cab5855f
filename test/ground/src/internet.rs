//! The internet, as far as registries go: hosts that have their real names and lead to registries on loopback.
//!
//! It is a proxy for `CONNECT` that ends TLS itself, with certificates of its own authority for whatever host is asked for.
//! Whoever is told of proxy and authority can push to `docker.io/acme/app` without anything leaving this machine. A
//! host that leads nowhere is answered with 502 and noted.

mod fault;
mod proxy;
mod record;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;

pub use fault::{Planned, RegistryFault};
pub use record::Seen;

use crate::process::{Kind, RunFolder};
use crate::tasks::Tasks;

/// A running internet. Dropping it ends it.
pub struct Internet {
    address: SocketAddr,
    world: Arc<World>,
    folder: RunFolder,
    tasks: Tasks,
}

impl std::fmt::Debug for Internet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("Internet");
        fields
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What the proxy's tasks share.
struct World {
    /// Hosts that lead nowhere and were asked for.
    nowhere: Mutex<BTreeSet<String>>,
    routes: Mutex<HashMap<String, Route>>,
    faults: Mutex<Vec<Planned>>,
    seen: Mutex<Vec<Seen>>,
    known: Authority,
    /// Vouches for hosts that nobody trusts.
    unknown: Authority,
    tasks: Tasks,
}

/// Where a host leads.
#[derive(Clone, Debug)]
struct Route {
    to: String,
    is_trusted: bool,
}

impl Internet {
    /// Starts it. Must be called within a tokio runtime, and lives on it.
    ///
    /// # Errors
    /// When loopback has no port left, or certificates cannot be made.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let claimed = tokio::task::spawn_blocking(|| RunFolder::claim(Kind::Internet, None)).await;
        let folder = claimed?.map_err(io::Error::other)?;
        let tasks = Tasks::default();
        let world = World {
            nowhere: Mutex::default(),
            routes: Mutex::default(),
            faults: Mutex::default(),
            seen: Mutex::default(),
            known: Authority::new("authority of the internet of tests")?,
            unknown: Authority::new("authority that nobody knows")?,
            tasks: tasks.clone(),
        };
        let internet = Self {
            address,
            world: Arc::new(world),
            folder,
            tasks,
        };
        fs::write(internet.authority(), &internet.world.known.pem)?;
        let world = Arc::clone(&internet.world);
        internet.tasks.spawn(proxy::serve(listener, world));
        Ok(internet)
    }

    /// What `HTTPS_PROXY` has to be.
    #[must_use]
    pub fn proxy(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file of the one certificate to trust, PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// From now on `host` leads to the plain HTTP server at `address`.
    pub fn route(&self, host: &str, address: &str) {
        self.lead(host, address, true);
    }

    /// The same, with a certificate that nobody has a reason to trust.
    pub fn route_untrusted(&self, host: &str, address: &str) {
        self.lead(host, address, false);
    }

    fn lead(&self, host: &str, address: &str, is_trusted: bool) {
        let mut routes = lock(&self.world.routes);
        let route = Route {
            to: address.to_owned(),
            is_trusted,
        };
        routes.insert(host.to_owned(), route);
    }

    /// Plans what goes wrong at a host.
    pub fn plan(&self, fault: Planned) {
        lock(&self.world.faults).push(fault);
    }

    /// The planned faults of a host that were not met.
    #[must_use]
    pub fn unmet(&self, host: &str) -> usize {
        let faults = lock(&self.world.faults);
        let left = faults.iter().filter(|fault| fault.host == host);
        left.map(|fault| fault.times).sum()
    }

    /// The hosts that were asked for and lead nowhere.
    #[must_use]
    pub fn nowhere(&self) -> Vec<String> {
        lock(&self.world.nowhere).iter().cloned().collect()
    }

    /// What was asked of a host until now.
    #[must_use]
    pub fn seen(&self, host: &str) -> Vec<Seen> {
        let seen = lock(&self.world.seen);
        seen.iter()
            .filter(|seen| seen.host == host)
            .cloned()
            .collect()
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An authority, and the TLS side of each host that it has vouched for.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    hosts: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    fn new(name: &str) -> io::Result<Self> {
        let make = || {
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            let key = KeyPair::generate()?;
            let certificate = params.self_signed(&key)?;
            Ok::<_, rcgen::Error>((certificate.pem(), Issuer::new(params, key)))
        };
        let (pem, issuer) = make().map_err(io::Error::other)?;
        Ok(Self {
            issuer,
            pem,
            hosts: Mutex::default(),
        })
    }

    /// The TLS side of a server with this name.
    fn server(&self, host: &str) -> io::Result<Arc<ServerConfig>> {
        let mut hosts = lock(&self.hosts);
        if let Some(known) = hosts.get(host) {
            return Ok(Arc::clone(known));
        }
        let make = || {
            let params = CertificateParams::new(vec![host.to_owned()])?;
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok::<_, rcgen::Error>((certificate.der().clone(), key.serialize_der()))
        };
        let (certificate, key): (CertificateDer<'static>, _) = make().map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into()))
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        hosts.insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }
}

/// How a program is told of the proxy and its authority, as variables of the environment.
#[must_use]
pub fn variables(proxy: &str, authority: &Path) -> [(&'static str, String); 3] {
    [
        ("HTTPS_PROXY", proxy.to_owned()),
        ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ("SSL_CERT_FILE", authority.display().to_string()),
    ]
}
