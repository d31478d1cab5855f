//! A user and a password of one registry.

use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};

/// bcrypt's lowest cost. The password has 144 random bits and lives for a test run; every request verifies it.
const BCRYPT_COST: u32 = 4;

/// A user of one registry. The debug output does not contain the password.
#[derive(Clone)]
pub struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// A user with a known password.
    #[must_use]
    pub fn of(username: &str, password: &str) -> Self {
        Self {
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    /// The user's name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The user's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    pub(super) fn random() -> io::Result<Self> {
        Ok(Self {
            username: random_word("user-")?,
            password: random_word("")?,
        })
    }

    /// The line of an htpasswd file.
    pub(super) fn htpasswd(&self) -> io::Result<String> {
        let hash = bcrypt::hash(&self.password, BCRYPT_COST).map_err(io::Error::other)?;
        Ok(format!("{}:{hash}\n", self.username))
    }

    pub(super) fn authorization(&self) -> String {
        format!("Basic {}", self.encoded())
    }

    /// `user:password` in base64.
    pub(crate) fn encoded(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.username, self.password))
    }
}

/// 144 random bits after `prefix`, as letters and digits.
fn random_word(prefix: &str) -> io::Result<String> {
    let mut bytes = [0; 18];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system has no random bytes"))?;
    Ok(bytes
        .iter()
        .fold(prefix.to_owned(), |word, byte| format!("{word}{byte:02x}")))
}
