//! A small internet of registries: hosts with real names that lead to registries on loopback.
//!
//! It is a proxy for `CONNECT` that terminates TLS with certificates of its own authority, for every host. A program that
//! uses the proxy and trusts the authority can push to `docker.io/acme/app` without leaving this machine. A request for a
//! host without a route gets a 502 and is recorded.

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

/// A running internet. Dropping this stops it.
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

/// The state that the proxy's tasks share.
struct World {
    /// Requested hosts without a route.
    nowhere: Mutex<BTreeSet<String>>,
    routes: Mutex<HashMap<String, Route>>,
    faults: Mutex<Vec<Planned>>,
    seen: Mutex<Vec<Seen>>,
    trusted: Authority,
    /// Issues certificates that no client trusts.
    untrusted: Authority,
    tasks: Tasks,
}

/// The destination of a host.
#[derive(Clone, Debug)]
struct Route {
    to: String,
    is_trusted: bool,
}

impl Internet {
    /// Starts it. Must be called within a tokio runtime, which runs its tasks.
    ///
    /// # Errors
    /// If no port can be opened on loopback, or no certificate can be created.
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
            trusted: Authority::new("authority of the internet of tests")?,
            untrusted: Authority::new("untrusted authority")?,
            tasks: tasks.clone(),
        };
        let internet = Self {
            address,
            world: Arc::new(world),
            folder,
            tasks,
        };
        fs::write(internet.authority(), &internet.world.trusted.pem)?;
        let world = Arc::clone(&internet.world);
        internet.tasks.spawn(proxy::serve(listener, world));
        Ok(internet)
    }

    /// The value for `HTTPS_PROXY`.
    #[must_use]
    pub fn proxy(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file with the certificate to trust, in PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Routes `host` to the HTTP server at `address`, which has no TLS.
    pub fn route(&self, host: &str, address: &str) {
        self.lead(host, address, true);
    }

    /// As [`Internet::route`], with a certificate that clients do not trust.
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

    /// Plans a fault of a host.
    pub fn plan(&self, fault: Planned) {
        lock(&self.world.faults).push(fault);
    }

    /// Removes the planned faults of a host.
    pub fn forget(&self, host: &str) {
        lock(&self.world.faults).retain(|fault| fault.host != host);
    }

    /// How many planned faults of a host have not occurred.
    #[must_use]
    pub fn unmet(&self, host: &str) -> usize {
        let faults = lock(&self.world.faults);
        let left = faults.iter().filter(|fault| fault.host == host);
        left.map(|fault| fault.times).sum()
    }

    /// The requested hosts without a route.
    #[must_use]
    pub fn nowhere(&self) -> Vec<String> {
        lock(&self.world.nowhere).iter().cloned().collect()
    }

    /// The requests to a host until now.
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

/// An authority, and the TLS configuration of each host that it has certified.
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

    /// The TLS configuration of a server with this name.
    fn server(&self, host: &str) -> io::Result<Arc<ServerConfig>> {
        let mut hosts = lock(&self.hosts);
        if let Some(config) = hosts.get(host) {
            return Ok(Arc::clone(config));
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

/// The environment variables with which a program uses the proxy and trusts its authority.
#[must_use]
pub fn variables(proxy: &str, authority: &Path) -> [(&'static str, String); 3] {
    [
        ("HTTPS_PROXY", proxy.to_owned()),
        ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ("SSL_CERT_FILE", authority.display().to_string()),
    ]
}
