//! Name resolution for hosts that an untrusted registry may have named: a realm, or the target of a redirect.
//!
//! A public name can resolve to this machine, or to the address at which a cloud provides the machine's credentials. So
//! addresses are checked after resolution, and only checked addresses are used. There is no second resolution, which
//! could return others.
//!
//! Private networks are allowed: a company's registries and token servers are often there.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::http::zones::{Zone, zone};

/// A name resolves only to addresses that are not allowed.
#[derive(Debug, thiserror::Error)]
#[error("its name resolves to {}, an address of this machine or a link-local address", .0.ip())]
pub(super) struct ForbiddenAddress(SocketAddr);

impl ForbiddenAddress {
    /// Whether this is why a request failed.
    pub(super) fn is_cause_of(error: &(dyn Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// The resolver of the system.
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<_> = addresses.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Removes the addresses of this machine and of its own link. An error if no other address remains.
pub(super) struct Guard(pub(super) Arc<dyn Resolve>);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let resolving = self.0.resolve(name);
        Box::pin(async move {
            let mut forbidden = None;
            let mut checked = Vec::new();
            for address in resolving.await? {
                if zone(address.ip()) == Zone::Elsewhere {
                    checked.push(address);
                } else {
                    forbidden = forbidden.or(Some(address));
                }
            }
            match forbidden {
                Some(address) if checked.is_empty() => Err(ForbiddenAddress(address).into()),
                _ => Ok(Box::new(checked.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Names;
    use super::*;

    async fn resolved(addresses: &[&str]) -> Result<Vec<String>, String> {
        let names = Names::new([("realm.example", addresses)]);
        let resolving = Guard(Arc::new(names)).resolve("realm.example".parse().unwrap());
        match resolving.await {
            Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
            Err(error) => {
                assert!(ForbiddenAddress::is_cause_of(&*error), "{error}");
                Err(error.to_string())
            }
        }
    }

    #[tokio::test]
    async fn only_allowed_addresses_remain() {
        let mixed = [
            "127.0.0.1",
            "10.1.2.3",
            "::ffff:169.254.169.254",
            "2606:4700::1",
        ];
        assert_eq!(
            resolved(&mixed).await.unwrap(),
            ["10.1.2.3", "2606:4700::1"]
        );
        for address in [
            "127.0.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "::1",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            let error = resolved(&[address, "::1"]).await.unwrap_err();
            let shown: std::net::IpAddr = address.parse().unwrap();
            assert!(error.contains(&shown.to_string()), "{error}");
        }
    }

    #[tokio::test]
    async fn the_system_resolves_localhost() {
        let addresses = System.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(
            addresses
                .into_iter()
                .all(|address| address.ip().is_loopback())
        );
    }
}
