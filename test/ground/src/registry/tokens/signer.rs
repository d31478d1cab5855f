//! Signs tokens in the format of the distribution project's registry: JSON Web Tokens with ES256.
//!
//! The registry trusts one certificate (`rootcertbundle`) and accepts a token whose header holds a chain that ends at it.
//! Here the chain is that certificate itself.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::Serialize;
use serde_json::json;

/// The issuer in the registry's settings and in tokens.
pub(super) const ISSUER: &str = "depot-ground";

/// The permissions of a token in one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Access {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) actions: Vec<String>,
}

/// A key and its certificate.
#[derive(Debug)]
pub(super) struct Signer {
    key: EcdsaKeyPair,
    certificate: rcgen::Certificate,
}

impl Signer {
    /// Creates a key and a certificate.
    pub(super) fn new() -> io::Result<Self> {
        let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        params.distinguished_name.push(DnType::CommonName, ISSUER);
        let pair = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&pair).map_err(io::Error::other)?;
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &pair.serialize_der(),
            &SystemRandom::new(),
        )
        .map_err(|rejected| io::Error::other(rejected.to_string()))?;
        Ok(Self { key, certificate })
    }

    /// The certificate, in PEM.
    pub(super) fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// A token for `service`, valid from now for `life`.
    pub(super) fn token(
        &self,
        service: &str,
        subject: &str,
        access: &[Access],
        life: Duration,
    ) -> io::Result<String> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(io::Error::other)?
            .as_secs();
        let header = json!({
            "typ": "JWT",
            "alg": "ES256",
            "x5c": [STANDARD.encode(self.certificate.der())],
        });
        let claims = json!({
            "iss": ISSUER,
            "sub": subject,
            "aud": service,
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(life.as_secs()),
            "access": access,
        });
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| io::Error::other("the system has no random bytes"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
