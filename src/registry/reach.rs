//! How registries are reached: with their certificates checked, but for those that somebody said to trust without.
//!
//! A registry that is trusted so may do without TLS altogether. It is looked for with TLS first, and without only where
//! nobody is there with it: a bad moment must not lead to an unencrypted place.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::ClientBuilder;
use reqwest::dns::Resolve;
use rustls::ClientConfig;
use url::Url;

use super::address::{is_here, is_own_host, registry_address};
use super::credentials::canonical_host;
use super::guard::{Guard, System};
use crate::http::proxies::Proxies;

/// The HTTP clients for registries, and the addresses at which those that may be in two places have answered.
#[derive(Debug)]
pub struct Reach {
    /// For places that the user has named.
    http: reqwest::Client,
    /// For places that a registry has named. Uses no proxy.
    guarded: reqwest::Client,
    proxies: Proxies,
    trusted: BTreeSet<String>,
    /// The hosts that the user has written; every host, if `None`.
    named: Option<BTreeSet<String>>,
    /// Present where a host is trusted.
    unchecked: Option<reqwest::Client>,
    answered: Mutex<HashMap<String, Url>>,
}

impl Reach {
    /// Reaches registries through these proxies. `configure` completes each client; it must let none follow redirects.
    ///
    /// # Errors
    /// None in practice: a TLS configuration that the HTTP client does not take.
    pub fn new(
        proxies: &Proxies,
        tls: &ClientConfig,
        configure: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> reqwest::Result<Self> {
        Self::resolving(proxies, tls, configure, Arc::new(System))
    }

    /// The same, with another resolver than the system's.
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
            answered: Mutex::default(),
        })
    }

    /// Reaches these hosts without a look at their certificates, or without TLS.
    ///
    /// `unchecked` must accept any certificate and follow no redirects. It is used for these hosts alone.
    #[must_use]
    pub fn trusting<'a>(
        mut self,
        hosts: impl IntoIterator<Item = &'a String>,
        unchecked: reqwest::Client,
    ) -> Self {
        self.trusted = hosts.into_iter().map(|host| canonical_host(host)).collect();
        self.unchecked = Some(unchecked);
        self
    }

    /// Limits registries on this machine to these hosts, which the user has written. Other hosts may come from a builder.
    #[must_use]
    pub fn naming<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        self.named = Some(hosts.into_iter().map(canonical_host).collect());
        self
    }

    /// Whether `host` is a registry on this machine or on its own link that the user has named. Only such a registry may name
    /// other places there.
    pub(super) fn is_local(&self, host: &str) -> bool {
        let is_named = |named: &BTreeSet<String>| named.contains(&canonical_host(host));
        registry_address(host).is_some_and(|registry| is_here(&registry))
            && self.named.as_ref().is_none_or(is_named)
    }

    /// Whether `host` is trusted without check.
    pub(super) fn trusts(&self, host: &str) -> bool {
        self.trusted.contains(&canonical_host(host))
    }

    /// The client for the registry `host` itself, which the user has named, at `url`.
    pub(super) fn own(&self, host: &str, url: &Url) -> &reqwest::Client {
        match &self.unchecked {
            Some(unchecked) if self.trusts(host) && is_own_host(host, url) => unchecked,
            _ => &self.http,
        }
    }

    /// The client for a place that the registry `host` has named: a realm, or the target of a redirect. `is_named`: the
    /// user has named that registry, by a login or as the target of a push.
    ///
    /// The client connects to no address of this machine or of its own link, except on behalf of a registry that is
    /// there too, or on a host that the user has named. With a proxy it is the proxy that resolves names; then only
    /// addresses that are written out can be checked, which the callers do.
    pub(super) fn named_by(&self, host: &str, url: &Url, is_named: bool) -> &reqwest::Client {
        let is_of_user = (is_named || self.trusts(host)) && is_own_host(host, url);
        if is_of_user || self.is_local(host) || self.proxies.has_proxy(url) {
            self.own(host, url)
        } else {
            &self.guarded
        }
    }

    /// Tries the places where the registry may be, each ending in `/v2/`, until somebody is there; `None` for a name that is
    /// no host.
    ///
    /// `is_nobody`: whether a failure means that there was no connection at all.
    pub(super) async fn ask<Answer, Trouble, Attempt>(
        &self,
        host: &str,
        attempt: impl Fn(Url) -> Attempt,
        is_nobody: impl Fn(&Trouble) -> bool,
    ) -> Option<Result<Answer, Trouble>>
    where
        Attempt: Future<Output = Result<Answer, Trouble>>,
    {
        let mut outcome = None;
        for place in self.places(host)? {
            match attempt(place.clone()).await {
                Ok(answer) => {
                    self.remember(host, place);
                    return Some(Ok(answer));
                }
                Err(trouble) => {
                    let is_over = !is_nobody(&trouble);
                    // The first place is the better one, and its failure says more.
                    outcome = outcome.or(Some(Err(trouble)));
                    if is_over {
                        break;
                    }
                }
            }
        }
        outcome
    }

    fn places(&self, host: &str) -> Option<Vec<Url>> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answered.get(&canonical_host(host)) {
            return Some(vec![known.clone()]);
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

    fn remember(&self, host: &str, place: Url) {
        if self.trusts(host) {
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            answered.entry(canonical_host(host)).or_insert(place);
        }
    }
}
