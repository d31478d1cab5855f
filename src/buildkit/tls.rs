//! Mutual TLS to a builder: its CA certificate, the name to verify, the client certificate and key.
//!
//! Nothing is written to disk. The system's root certificates are not used: the service that allocates the builder also
//! provides its CA certificate.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use secrecy::{ExposeSecret, SecretString};

/// The certificates and the key for mutual TLS, in PEM.
#[derive(Debug)]
pub(crate) struct MutualTls {
    /// The name that the builder's certificate must have.
    pub(crate) server_name: String,
    /// The only trusted CA certificate.
    pub(crate) authority: String,
    /// The client certificate, with its chain.
    pub(crate) certificate: String,
    /// The private key of the client certificate.
    pub(crate) key: SecretString,
}

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A text is not valid PEM.
    #[error("{what} is not valid PEM")]
    Pem {
        /// Which text.
        what: &'static str,
        /// The error of the parser.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The name is neither a host name nor an address.
    #[error("`{0}` is not a valid server name")]
    Name(String),
    /// The CA certificate is not valid.
    #[error("the builder's CA certificate cannot be used")]
    Authority(#[source] rustls::server::VerifierBuilderError),
    /// Certificate and key do not match, or have an unknown type.
    #[error("the client certificate for the builder cannot be used")]
    Identity(#[source] rustls::Error),
}

impl MutualTls {
    /// The rustls configuration and the name to verify.
    pub(crate) fn client_config(
        &self,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>), TlsError> {
        let name = ServerName::try_from(self.server_name.clone())
            .map_err(|_| TlsError::Name(self.server_name.clone()))?;
        let authorities = certificates("the builder's CA certificate", &self.authority)?;
        let own = certificates("the client certificate for the builder", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose_secret().as_bytes()).map_err(
            |source| TlsError::Pem {
                what: "the private key for the builder",
                source,
            },
        )?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(authorities, provider.clone())?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Identity)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(own, key)
            .map_err(TlsError::Identity)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // There is only one connection, so session resumption would not help.
        config.resumption = rustls::client::Resumption::disabled();
        Ok((Arc::new(config), name))
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |source| TlsError::Pem { what, source };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(unusable)?;
    if found.is_empty() {
        return Err(unusable(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// Verifies as rustls does, and also accepts a case that Go's TLS accepts and rustls rejects: a server
/// that presents the trusted CA certificate itself. Its name and validity are still checked.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(
        authorities: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(TlsError::Identity)?;
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(TlsError::Authority)?;
        Ok(Self { inner, authorities })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // "A CA certificate is used as an end-entity certificate": the only error that is
            // acceptable for a trusted certificate. The validity was checked before this error, but
            // not the name, so it is checked here.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.authorities.iter().any(|known| known == end_entity) =>
            {
                let certificate = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    fn params(name: &str, is_authority: bool) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    fn authority(params: CertificateParams) -> CertifiedIssuer<'static, KeyPair> {
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn verify(
        authority: &CertificateDer<'static>,
        presented: &CertificateDer<'static>,
        name: &str,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(vec![authority.clone()], provider).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(presented, &[], &name, &[], UnixTime::now())
    }

    #[test]
    fn a_certificate_of_the_authority_passes_under_its_own_name_only() {
        let issuer = authority(params("authority", true));
        let key = KeyPair::generate().unwrap();
        let leaf = params("builder.example", false)
            .signed_by(&key, &issuer)
            .unwrap();
        assert!(verify(issuer.der(), leaf.der(), "builder.example").is_ok());
        assert!(verify(issuer.der(), leaf.der(), "other.example").is_err());
    }

    #[test]
    fn the_authority_itself_passes_as_server_under_its_own_name_only() {
        let issuer = authority(params("builder.example", true));
        assert!(verify(issuer.der(), issuer.der(), "builder.example").is_ok());
        assert!(verify(issuer.der(), issuer.der(), "other.example").is_err());
    }

    #[test]
    fn another_authority_does_not_pass_even_under_the_right_name() {
        let issuer = authority(params("builder.example", true));
        let stranger = authority(params("builder.example", true));
        assert!(verify(issuer.der(), stranger.der(), "builder.example").is_err());
    }

    #[test]
    fn an_expired_authority_does_not_pass_as_server() {
        let mut expired = params("builder.example", true);
        expired.not_before = rcgen::date_time_ymd(2019, 1, 1);
        expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let issuer = authority(expired);
        assert!(verify(issuer.der(), issuer.der(), "builder.example").is_err());
    }

    #[test]
    fn invalid_pem_is_reported_with_its_purpose() {
        let tls = MutualTls {
            server_name: "builder".into(),
            authority: "no pem".into(),
            certificate: String::new(),
            key: String::new().into(),
        };
        let error = tls.client_config().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the builder's CA certificate is not valid PEM"
        );
    }
}
