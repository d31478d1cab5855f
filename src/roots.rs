//! Whom this program trusts on the internet.
//!
//! Mozilla's roots are built in: the pipe's image holds nothing else, and no certificates of its own.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// The TLS configuration for Depot's API and for registries.
///
/// # Errors
/// None in practice: the protocol versions that it asks for are those that it was built with.
pub fn client_config() -> Result<ClientConfig, rustls::Error> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The HTTP client takes a configuration as it is: without this it would never speak HTTP/2, and
    // every call side by side would need a connection of its own.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
