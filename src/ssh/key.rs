//! Private key files without a passphrase: Ed25519, ECDSA with P-256 or P-384, and RSA with 2048 to 4096 bits.
//!
//! Keys are read in the forms of OpenSSH, PKCS#1, PKCS#8 and SEC1. `ring` checks that the parts of a key belong together, and makes
//! the signatures. The memory of a key's parts is overwritten after they were read.

mod der;
mod openssh;
mod pair;
mod parts;
mod pem;

use std::fmt;

pub(crate) use self::pair::RsaHash;

use self::pair::Pair;

/// The longest key file. The longest supported key has about 3400 bytes.
pub(crate) const KEY_LIMIT_BYTES: u64 = 100 << 10;

/// A private key that can sign. `Debug` shows its type only.
pub(crate) struct PrivateKey {
    pair: Pair,
    public: Vec<u8>,
}

impl PrivateKey {
    /// Parses the content of a key file, of at most [`KEY_LIMIT_BYTES`].
    ///
    /// # Errors
    /// It is not a private key, has a passphrase, or is of a type that is not supported.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(text).map_err(|_| KeyError::NotAKey)?;
        let block = pem::private_key(text)?;
        let mut stated_public = None;
        let parts = match &*block.label {
            "OPENSSH" => openssh::parse(&block.content).map(|(parts, public)| {
                stated_public = Some(public);
                parts
            }),
            "" => der::pkcs8(&block.content),
            "RSA" => der::rsa(&block.content),
            "EC" => der::elliptic(&block.content, None),
            "DSA" => Err(KeyError::Kind("DSA")),
            _ => Err(KeyError::NotAKey),
        };
        let pair = parts?.pair()?;
        let public = pair.public();
        if stated_public.is_some_and(|stated| stated != public) {
            return Err(KeyError::Damaged);
        }
        // `ring` compares the exponents of an RSA key only when it signs.
        pair.sign(b"", Some(RsaHash::Sha256))
            .ok_or(KeyError::Damaged)?;
        Ok(Self { pair, public })
    }

    /// The public key, as SSH encodes it (RFC 4253, section 6.6).
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// A signature as SSH encodes it. `hash` is used by RSA only; without one, an RSA key does not sign.
    pub(super) fn sign(&self, data: &[u8], hash: Option<RsaHash>) -> Option<Vec<u8>> {
        self.pair.sign(data, hash)
    }
}

/// Equal if the public keys are.
impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({})", self.pair.name())
    }
}

/// The texts of a key file that must be masked if they are printed: each line of its private keys, and all lines as one.
pub(crate) fn secrets_of(text: &str) -> Vec<String> {
    pem::secrets(text)
}

/// Why a file cannot be used as a private key. The messages follow the name of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("is empty")]
    Empty,
    #[error("is not a private key")]
    NotAKey,
    #[error("is a public key")]
    PublicKey,
    #[error("has a passphrase, which cannot be entered in a pipeline")]
    Passphrase,
    #[error("contains a key encoded in base64")]
    InBase64,
    #[error("is a key in the form of PuTTY or ssh.com")]
    ForeignForm,
    /// With the name of the type.
    #[error("is a key of an unsupported type ({0})")]
    Kind(&'static str),
    /// With the length in bits.
    #[error("is an RSA key of {0} bits")]
    RsaLength(usize),
    #[error("is an RSA key with a public exponent below 65537")]
    RsaExponent,
    #[error("is incomplete: its last line is missing")]
    Truncated,
    #[error("is damaged: its parts do not belong together")]
    Damaged,
    #[error("does not contain the public part of the key")]
    NoPublicPart,
}

impl KeyError {
    /// The correction.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Empty | Self::NotAKey => {
                "write the path of a private key, as `ssh-keygen` makes it"
            }
            Self::PublicKey => {
                "write the path of the private key, which usually has the same name without `.pub`"
            }
            Self::Passphrase => {
                "make a key for pipelines without one (`ssh-keygen -t ed25519 -N ''`), or remove the passphrase of a copy \
                 with `ssh-keygen -p`"
            }
            Self::InBase64 => "decode the file with `base64 -d` in a line before the pipe",
            Self::ForeignForm => {
                "convert it to OpenSSH's form, for example with `puttygen KEY -O private-openssh`"
            }
            Self::Kind(_) | Self::RsaLength(_) | Self::RsaExponent => {
                "use a key of type Ed25519, ECDSA P-256 or P-384, or RSA with 2048 to 4096 bits, for example made with \
                 `ssh-keygen -t ed25519`"
            }
            Self::Truncated | Self::Damaged => {
                "write the whole key to the file, with its line breaks and with its first and its last line"
            }
            Self::NoPublicPart => "convert it to OpenSSH's form with `ssh-keygen -p -f FILE`",
        }
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
pub(super) mod tests;
