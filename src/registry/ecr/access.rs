//! Who we are at Amazon, as far as we were told.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// All that may prove who we are. The first that is there counts: the role, the keys, the container, the machine.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// A role to be taken by an identity that somebody else has signed.
    pub role: Option<Role>,
    /// Keys of a user or a session.
    pub keys: Option<Keys>,
    /// Where the container that we run in gets its keys.
    pub container: Option<Container>,
    /// One address instead of all of Amazon's.
    pub endpoint: Option<Url>,
    /// Where a machine of Amazon's is told who it is; absent for the place where all of them are.
    pub metadata: Option<Url>,
}

/// Keys of a user or a session.
#[derive(Clone)]
pub struct Keys {
    /// The key's id, which counts as no secret.
    pub id: String,
    /// The key.
    pub secret: SecretString,
    /// Present with the keys of a session.
    pub session: Option<SecretString>,
    /// When they end, if they do.
    pub until: Option<SystemTime>,
}

impl Keys {
    /// What has to be kept out of logs.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let session = self.session.as_ref().map(ExposeSecret::expose_secret);
        std::iter::once(self.secret.expose_secret()).chain(session)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Keys");
        fields.field("id", &self.id).finish_non_exhaustive()
    }
}

/// A role, and what it is taken by.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// A signed identity that the role trusts.
    pub token: SecretString,
    /// How the session is called in Amazon's records.
    pub session_name: String,
}

/// Where a container gets its keys.
#[derive(Clone, Debug)]
pub struct Container {
    /// The address.
    pub url: Url,
    /// What to send as `Authorization`.
    pub authorization: Option<Authorization>,
}

/// What a container proves itself with.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// This text.
    Token(SecretString),
    /// What this file holds at that moment: it is written anew from time to time.
    File(PathBuf),
}
