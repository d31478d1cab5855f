//! The certificate authorities that this program trusts.
//!
//! Mozilla's roots are built in, because the program's image contains no certificates. A company's own authorities can
//! be added.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Authorities that are trusted in addition to Mozilla's.
#[derive(Clone, Default)]
pub(crate) struct Authorities(Vec<CertificateDer<'static>>);

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authorities({})", self.0.len())
    }
}

impl Authorities {
    /// Parses every certificate of a PEM text and ignores everything else in it.
    ///
    /// # Errors
    /// A certificate is malformed.
    pub(crate) fn parse(pem: &[u8]) -> Result<Self, rustls::pki_types::pem::Error> {
        let certificates: Result<_, _> = CertificateDer::pem_slice_iter(pem).collect();
        certificates.map(Self)
    }

    /// Whether there are none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The TLS configuration for public servers.
///
/// # Errors
/// None in practice: the provider supports the protocol versions that are requested.
pub(crate) fn client_config(extra: &Authorities) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    // Certificates that cannot be used as authorities are skipped: the bundles of some systems contain such.
    roots.add_parsable_certificates(extra.0.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The HTTP client does not change the configuration. Without this it would not use HTTP/2, and each
    // concurrent call would need its own connection.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The TLS configuration for hosts that are trusted without verification: it accepts any certificate.
///
/// # Errors
/// None in practice, as with [`client_config`].
pub(crate) fn unchecked_client_config() -> Result<ClientConfig, rustls::Error> {
    let mut config = client_config(&Authorities::default())?;
    let unchecked = Unchecked(rustls::crypto::ring::default_provider());
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(unchecked));
    Ok(config)
}

/// Accepts any certificate. The server must still prove that it has the certificate's key.
#[derive(Debug)]
struct Unchecked(CryptoProvider);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
