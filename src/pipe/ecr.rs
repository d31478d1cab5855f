//! Amazon's registries, among the places where logins come from.

use std::sync::Arc;

use crate::config::plan::{AwsAuthorization, AwsPlan};
use crate::registry::credentials::Credential;
use crate::registry::ecr::{Access, Authorization, Container, Ecr, EcrError, EcrHost, Keys, Role};
use crate::registry::keyring::{CredentialSource, SourceError};

/// Logins of Amazon's registries, made when they are asked for.
#[derive(Debug)]
pub(super) struct AmazonLogins(pub(super) Arc<Ecr>);

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
        match self.0.credential(host, &registry).await {
            Ok(credential) => {
                tracing::debug!("Amazon gave a login for `{host}`");
                Ok(Some(credential))
            }
            // Anybody may pull from the public one.
            Err(EcrError::NoIdentity) if registry == EcrHost::Public => Ok(None),
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
