//! Amazon's registries, among the places where logins come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::plan::{AwsAuthorization, AwsPlan};
use crate::registry::credentials::Credential;
use crate::registry::ecr::{Access, Authorization, Container, Ecr, EcrHost, Keys, Role};
use crate::registry::keyring::{CredentialSource, SourceError};

/// Logins of Amazon's registries, made when they are asked for.
#[derive(Debug)]
pub(super) struct AmazonLogins {
    ecr: Arc<Ecr>,
    /// Whether the image goes to the public registry. Otherwise that is only read, which anybody may do: a login makes it
    /// faster, and one that cannot be had fails no build.
    pushes_public: bool,
    /// Whether somebody said who we are. The machine's own role, which takes time to look for, is no reason to log in for
    /// reading.
    is_known: bool,
    /// Set once the public registry is read without login.
    reads_public: AtomicBool,
}

impl AmazonLogins {
    pub(super) fn new(ecr: Arc<Ecr>, plan: &AwsPlan, pushes_public: bool) -> Self {
        Self {
            ecr,
            pushes_public,
            is_known: plan.role.is_some() || plan.keys.is_some() || plan.container.is_some(),
            reads_public: AtomicBool::new(false),
        }
    }
}

#[tonic::async_trait]
impl CredentialSource for AmazonLogins {
    fn covers(&self, host: &str) -> bool {
        EcrHost::parse(host).is_some()
    }

    fn takes_tokens(&self, host: &str) -> Option<bool> {
        Some(EcrHost::parse(host)?.takes_tokens())
    }

    async fn credential(&self, host: &str) -> Result<Option<Credential>, SourceError> {
        let Some(registry) = EcrHost::parse(host) else {
            return Ok(None);
        };
        let is_read = registry == EcrHost::Public && !self.pushes_public;
        if is_read && (!self.is_known || self.reads_public.load(Ordering::Relaxed)) {
            return Ok(None);
        }
        match self.ecr.credential(host, &registry).await {
            Ok(credential) => {
                tracing::debug!("Amazon gave a login for `{host}`");
                Ok(Some(credential))
            }
            Err(error) if is_read => {
                let why = crate::cause::one_line(&error);
                tracing::info!("`{host}` is read without login, which is slower: {why}");
                self.reads_public.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(SourceError {
                denied: error.is_denied(),
                cause: Box::new(error),
            }),
        }
    }
}

/// What the plan says of Amazon, as its client wants it.
pub(super) fn access(plan: &AwsPlan) -> Access {
    let authorization = |authorization: &AwsAuthorization| match authorization {
        AwsAuthorization::Token(token) => Authorization::Token(token.clone()),
        AwsAuthorization::File(path) => Authorization::File(path.clone()),
    };
    Access {
        role: plan.role.as_ref().map(|role| Role {
            arn: role.arn.clone(),
            token: role.token.clone(),
            session_name: role.session_name.clone(),
        }),
        keys: plan.keys.as_ref().map(|keys| Keys {
            id: keys.id.clone(),
            secret: keys.secret.clone(),
            session: keys.session.clone(),
            until: None,
        }),
        container: plan.container.as_ref().map(|container| Container {
            url: container.url.clone(),
            authorization: container.authorization.as_ref().map(authorization),
        }),
        endpoint: plan.endpoint.clone(),
        metadata: None,
    }
}
