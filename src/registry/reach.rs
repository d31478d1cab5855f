//! The HTTP clients for registries. Certificates are verified, except for hosts that the user trusts without verification.
//!
//! A registry that is trusted without verification may have no TLS at all. TLS is tried first, and plain HTTP only if no
//! TLS connection is possible: a temporary failure must not lead to an unencrypted request.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::ClientBuilder;
use reqwest::dns::Resolve;
use rustls::ClientConfig;
use url::Url;

use super::address::{is_local_address, is_own_host, registry_address};
use super::credentials::canonical_host;
use super::guard::{Guard, System};
use crate::http::proxies::Proxies;

/// The HTTP clients for registries, and the addresses that are known to work.
#[derive(Debug)]
pub(crate) struct Reach {
    /// For hosts that the user has named.
    http: reqwest::Client,
    /// For hosts that a registry has named. Uses no proxy.
    guarded: reqwest::Client,
    proxies: Proxies,
    trusted: BTreeSet<String>,
    /// The hosts that the user has named; `None` means every host.
    named: Option<BTreeSet<String>>,
    /// Exists if a host is trusted without verification.
    unchecked: Option<reqwest::Client>,
    /// The working address of each host that is trusted without verification.
    known: Mutex<HashMap<String, Url>>,
}

impl Reach {
    /// Reaches registries through these proxies. `configure` completes each client, which must not follow redirects.
    ///
    /// # Errors
    /// The HTTP client rejects the TLS configuration; does not happen in practice.
    pub(crate) fn new(
        proxies: &Proxies,
        tls: &ClientConfig,
        configure: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> reqwest::Result<Self> {
        Self::resolving(proxies, tls, configure, Arc::new(System))
    }

    /// The same with another resolver.
    pub(super) fn resolving(
        proxies: &Proxies,
        tls: &ClientConfig,
        configure: impl Fn(ClientBuilder) -> ClientBuilder,
        resolver: Arc<dyn Resolve>,
    ) -> reqwest::Result<Self> {
        let guard = Arc::new(Guard(Arc::clone(&resolver)));
        let http = configure(proxies.client(tls.clone())).dns_resolver(resolver);
        let guarded = configure(Proxies::default().client(tls.clone())).dns_resolver(guard);
        Ok(Self {
            http: http.build()?,
            guarded: guarded.build()?,
            proxies: proxies.clone(),
            trusted: BTreeSet::new(),
            named: None,
            unchecked: None,
            known: Mutex::default(),
        })
    }

    /// Reaches these hosts without verification of their certificates, or without TLS.
    ///
    /// `unchecked` must accept any certificate and must not follow redirects. It is used only for these hosts.
    #[must_use]
    pub(crate) fn trusting<'a>(
        mut self,
        hosts: impl IntoIterator<Item = &'a String>,
        unchecked: reqwest::Client,
    ) -> Self {
        self.trusted = hosts.into_iter().map(|host| canonical_host(host)).collect();
        self.unchecked = Some(unchecked);
        self
    }

    /// Limits registries on this machine to these hosts, which the user has named. Other hosts may come from a builder.
    #[must_use]
    pub(crate) fn naming<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        self.named = Some(hosts.into_iter().map(canonical_host).collect());
        self
    }

    /// Whether `host` is a registry on this machine or on its own link that the user has named. Only such a registry may refer
    /// to other addresses there.
    pub(super) fn is_local(&self, host: &str) -> bool {
        let is_named = |named: &BTreeSet<String>| named.contains(&canonical_host(host));
        registry_address(host).is_some_and(|registry| is_local_address(&registry))
            && self.named.as_ref().is_none_or(is_named)
    }

    /// Whether `host` is trusted without verification.
    pub(super) fn trusts(&self, host: &str) -> bool {
        self.trusted.contains(&canonical_host(host))
    }

    /// The client for the registry `host` itself, which the user has named, at `url`.
    pub(super) fn client_for_registry(&self, host: &str, url: &Url) -> &reqwest::Client {
        match &self.unchecked {
            Some(unchecked) if self.trusts(host) && is_own_host(host, url) => unchecked,
            _ => &self.http,
        }
    }

    /// The client for an address that the registry `host` has named: a realm, or the target of a redirect. `is_named`: the
    /// user has named that registry, by a login or as the target of a push.
    ///
    /// The client connects to no address of this machine or of its own link, except on behalf of a registry that is
    /// there too, or on a host that the user has named. A proxy resolves names itself; then only IP addresses in URLs can
    /// be checked, which the callers do.
    pub(super) fn client_for_target(
        &self,
        host: &str,
        url: &Url,
        is_named: bool,
    ) -> &reqwest::Client {
        let is_of_user = (is_named || self.trusts(host)) && is_own_host(host, url);
        if is_of_user || self.is_local(host) || self.proxies.has_proxy(url) {
            self.client_for_registry(host, url)
        } else {
            &self.guarded
        }
    }

    /// Tries the possible addresses of the registry, each ending in `/v2/`, until one accepts a connection. `None` if the name is
    /// not a host.
    ///
    /// `is_unreachable`: whether a failure means that there was no connection at all.
    pub(super) async fn try_addresses<Response, Failure, Attempt>(
        &self,
        host: &str,
        attempt: impl Fn(Url) -> Attempt,
        is_unreachable: impl Fn(&Failure) -> bool,
    ) -> Option<Result<Response, Failure>>
    where
        Attempt: Future<Output = Result<Response, Failure>>,
    {
        let mut outcome = None;
        for address in self.addresses(host)? {
            match attempt(address.clone()).await {
                Ok(response) => {
                    self.remember(host, address);
                    return Some(Ok(response));
                }
                Err(failure) => {
                    let is_final = !is_unreachable(&failure);
                    // The first address has TLS, so its failure is the relevant one.
                    outcome = outcome.or(Some(Err(failure)));
                    if is_final {
                        break;
                    }
                }
            }
        }
        outcome
    }

    fn addresses(&self, host: &str) -> Option<Vec<Url>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = known.get(&canonical_host(host)) {
            return Some(vec![address.clone()]);
        }
        let address = registry_address(host)?;
        if !self.trusts(host) {
            return Some(vec![address]);
        }
        let with = |scheme: &str| {
            let (_, rest) = address.as_str().split_once(':')?;
            Url::parse(&format!("{scheme}:{rest}")).ok()
        };
        Some(["https", "http"].into_iter().filter_map(with).collect())
    }

    fn remember(&self, host: &str, address: Url) {
        if self.trusts(host) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(canonical_host(host)).or_insert(address);
        }
    }
}
