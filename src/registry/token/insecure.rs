//! Registries that are trusted without check, since somebody said so.

use std::collections::BTreeSet;

use url::Url;

use crate::registry::credentials::canonical_host;

/// Hosts whose certificates are not looked at, and that may do without TLS; and what speaks to them so.
#[derive(Clone, Debug)]
pub struct Insecure {
    hosts: BTreeSet<String>,
    pub(in crate::registry) http: reqwest::Client,
}

impl Insecure {
    /// `http` must accept any certificate and follow no redirects. It is used for these hosts alone.
    #[must_use]
    pub fn new(hosts: impl IntoIterator<Item = String>, http: reqwest::Client) -> Self {
        Self {
            hosts: hosts
                .into_iter()
                .map(|host| canonical_host(&host))
                .collect(),
            http,
        }
    }

    /// Whether `host` is one of them.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        self.hosts.contains(&canonical_host(host))
    }

    /// Where such a registry may be: with TLS, which comes first, and without.
    pub(in crate::registry) fn places(address: &Url) -> Vec<Url> {
        let with = |scheme: &str| {
            let rest = address.as_str().split_once(':')?.1;
            Url::parse(&format!("{scheme}:{rest}")).ok()
        };
        ["https", "http"].into_iter().filter_map(with).collect()
    }
}
