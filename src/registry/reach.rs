//! How registries are reached: with their certificates checked, but for those that somebody said to trust without.
//!
//! A registry that is trusted so may do without TLS altogether. It is looked for with TLS first, and without only where
//! nobody is there with it: a bad moment must not lead to an unencrypted place.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use url::Url;

use super::address::{is_own_host, registry_address};
use super::credentials::canonical_host;

/// What speaks to registries, and where those that may be in two places have answered.
#[derive(Debug)]
pub struct Reach {
    http: reqwest::Client,
    trusted: BTreeSet<String>,
    /// Present where a host is trusted.
    unchecked: Option<reqwest::Client>,
    answered: Mutex<HashMap<String, Url>>,
}

impl Reach {
    /// `http` must not follow redirects: what lets us in must not either.
    #[must_use]
    pub fn new(http: reqwest::Client) -> Self {
        Self {
            http,
            trusted: BTreeSet::new(),
            unchecked: None,
            answered: Mutex::default(),
        }
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

    /// Whether `host` is trusted without check.
    pub(super) fn trusts(&self, host: &str) -> bool {
        self.trusted.contains(&canonical_host(host))
    }

    /// What to ask the place at `url` with, on behalf of the registry `host`.
    pub(super) fn http_for(&self, host: &str, url: &Url) -> &reqwest::Client {
        match &self.unchecked {
            Some(unchecked) if self.trusts(host) && is_own_host(host, url) => unchecked,
            _ => &self.http,
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
