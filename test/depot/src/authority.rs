//! Certificates: each machine has its own authority, which signs the certificates of the machine and of its client.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::Security;

/// The credentials that the API returns for a machine, in PEM.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) authority: String,
    pub(crate) client_certificate: String,
    pub(crate) client_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Credentials")
            .finish_non_exhaustive()
    }
}

/// Why certificates could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A certificate could not be created.
    #[error("a certificate could not be created")]
    Make(#[from] rcgen::Error),
    /// The TLS server rejected its certificate.
    #[error("the TLS server could not be configured")]
    Tls(#[from] rustls::Error),
    /// The verifier of clients rejected the authority.
    #[error("the verification of clients could not be configured")]
    Clients(#[from] rustls::server::VerifierBuilderError),
}

/// Creates the credentials of a machine called `server_name`, and the TLS configuration of its server.
///
/// The server requires from every client a certificate of the machine's authority, whatever `security` is. `None` for a
/// machine without TLS.
pub(crate) fn make(
    security: Security,
    server_name: &str,
) -> Result<Option<(Credentials, Arc<ServerConfig>)>, CertificateError> {
    if security == Security::PlainText {
        return Ok(None);
    }
    let authority = Authority::new(server_name)?;
    let (certificate, key) = match security {
        Security::AuthorityItself => (
            authority.certificate.der().clone(),
            authority.issuer.key().serialize_der(),
        ),
        Security::WrongAuthority => Authority::new(server_name)?.server(server_name, false)?,
        Security::WrongName => authority.server("another-machine.depot.test", false)?,
        Security::Expired => authority.server(server_name, true)?,
        Security::Trusted | Security::PlainText => authority.server(server_name, false)?,
    };
    let (client_certificate, client_key) = authority.client()?;
    let credentials = Credentials {
        authority: authority.certificate.pem(),
        client_certificate,
        client_key,
    };

    let mut clients = RootCertStore::empty();
    clients.add(authority.certificate.der().clone())?;
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider))
            .build()?;
    let key = PrivateKeyDer::Pkcs8(key.into());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()]; // gRPC clients refuse a server that does not agree on it
    Ok(Some((credentials, Arc::new(config))))
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    /// The certificate also holds the machine's name, for [`Security::AuthorityItself`].
    fn new(server_name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(vec![server_name.to_owned()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority of {server_name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    fn server(
        &self,
        name: &str,
        expired: bool,
    ) -> Result<(CertificateDer<'static>, Vec<u8>), rcgen::Error> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.der().clone(), key.serialize_der()))
    }

    /// Certificate and key of the client, in PEM.
    fn client(&self) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}
