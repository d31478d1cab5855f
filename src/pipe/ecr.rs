//! Logins for Amazon's registries, created on request.

mod named;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::ExposeSecret;

use crate::config::Plan;
use crate::config::plan::{
    ContextPlan, Destinations, DockerfileSource, NamedContext, PromotionSource,
};
use crate::io::bounded_file;
use crate::registry::credentials::{Credential, canonical_host};
use crate::registry::ecr::{Access, Ecr, EcrHost};
use crate::registry::keyring::{CredentialSource, SourceError};
use crate::registry::token::NamedImage;
pub(super) use named::Named;

/// How much of a Dockerfile is read for the hosts that it names.
const DOCKERFILE_LIMIT_BYTES: u64 = 4 << 20;

/// Creates logins for Amazon's registries on request.
#[derive(Debug)]
pub(super) struct AmazonLogins {
    ecr: Arc<Ecr>,
    /// Whether the image is pushed to the public registry. If it is only read, a login is optional: it makes pulls faster, and a
    /// missing one does not fail the build.
    pushes_public: bool,
    /// Whether credentials are configured. The machine's own role is not used to read the public registry, because looking for it
    /// takes time.
    is_known: bool,
    /// Set once the public registry is read without login.
    reads_public: AtomicBool,
    /// The hosts that the build names. No other host gets a login.
    named: BTreeSet<String>,
}

/// A builder requested a login for a registry that the build does not name.
#[derive(Debug, thiserror::Error)]
#[error(
    "a builder gets a login for Amazon ECR only for hosts that the build names, and this is not one of them; write the host \
     out in the Dockerfile, or as the value of an ARG"
)]
struct NotNamed;

impl AmazonLogins {
    pub(super) fn new(
        ecr: Arc<Ecr>,
        access: &Access,
        pushes_public: bool,
        named: BTreeSet<String>,
    ) -> Self {
        Self {
            ecr,
            named,
            pushes_public,
            is_known: access.role.is_some() || access.keys.is_some() || access.container.is_some(),
            reads_public: AtomicBool::new(false),
        }
    }
}

#[tonic::async_trait]
impl CredentialSource for AmazonLogins {
    fn covers(&self, host: &str) -> bool {
        EcrHost::parse(host).is_some()
    }

    fn is_named(&self, host: &str) -> bool {
        self.named.contains(&host.to_ascii_lowercase())
    }

    fn accepts_tokens(&self, host: &str) -> Option<bool> {
        Some(EcrHost::parse(host)?.accepts_tokens())
    }

    async fn credential(&self, host: &str) -> Result<Option<Credential>, SourceError> {
        let Some(registry) = EcrHost::parse(host) else {
            return Ok(None);
        };
        let is_read = registry == EcrHost::Public && !self.pushes_public;
        if !self.is_named(host) {
            // The public registry can be read without a login.
            return if is_read {
                Ok(None)
            } else {
                Err(SourceError {
                    denied: true,
                    cause: Box::new(NotNamed),
                })
            };
        }
        if is_read && (!self.is_known || self.reads_public.load(Ordering::Relaxed)) {
            return Ok(None);
        }
        match self.ecr.credential(host, &registry).await {
            Ok(credential) => {
                tracing::debug!("Amazon issued a login for `{host}`");
                Ok(Some(credential))
            }
            Err(error) if is_read => {
                let why = crate::text::cause::one_line(&error);
                tracing::info!("`{host}` is read without a login, which is slower: {why}");
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

/// The hosts and images that a build names.
pub(super) fn named(plan: &Plan) -> Named {
    let mut named = Named::default();
    if let Some(promotion) = &plan.promotion {
        if let PromotionSource::Image(reference) = &promotion.source {
            named.hosts.insert(canonical_host(reference.host()));
            named.images.insert(NamedImage::new(reference, false));
        }
        add_destinations(&mut named, &promotion.destinations);
    }
    for image in plan.built() {
        let (build, destinations) = (&image.build, &image.destinations);
        let contexts = build.contexts.iter().filter_map(|context| match context {
            NamedContext::Address(_, address, _) => Some(address.expose_secret()),
            NamedContext::Directory(..) | NamedContext::Image(..) => None,
        });
        // The Dockerfile of a repository that the builder fetches is not known here.
        let dockerfile = match &build.context {
            ContextPlan::Directory(_, file) => match &file.source {
                DockerfileSource::File(path) => dockerfile(path),
                DockerfileSource::Inline(text) => text.to_string(),
            },
            ContextPlan::Git(_) => String::new(),
        };
        let scanner = image.metadata.sbom.iter();
        let contexts = contexts.chain(scanner.map(|sbom| sbom.generator.as_str()));
        let read = named::read(contexts, build.build_args.iter(), &dockerfile);
        named.hosts.extend(read.hosts);
        named.images.extend(read.images);
        for reference in image.caches.references() {
            named.hosts.insert(canonical_host(reference.host()));
            let mut exported = image.caches.exported_references();
            let is_exported = exported.any(|exported| exported == reference);
            named.images.insert(NamedImage::new(reference, is_exported));
        }
        add_destinations(&mut named, destinations);
    }
    named
}

fn add_destinations(named: &mut Named, destinations: &Destinations) {
    for reference in &destinations.references {
        named.hosts.insert(canonical_host(reference.host()));
        let image = NamedImage::new(reference, destinations.push);
        named.images.insert(image);
    }
}

/// The Dockerfile's text. An unreadable file names no hosts; the build reports the error.
fn dockerfile(path: &Path) -> String {
    let text = bounded_file::read(path, DOCKERFILE_LIMIT_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::ecr::Keys;
    use crate::registry::reference::Reference;

    const NAMED: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    async fn login(host: &str) -> Result<Option<Credential>, String> {
        let tls =
            crate::http::roots::client_config(&crate::http::roots::Authorities::default()).unwrap();
        let client = || {
            let client = crate::http::proxies::Proxies::default().client(tls.clone());
            client.build().unwrap()
        };
        // No program listens on this port.
        let access = Access {
            keys: Some(Keys {
                id: "AKIAIOSFODNN7EXAMPLE".into(),
                secret: "key".into(),
                session: None,
                until: None,
            }),
            endpoint: Some("http://127.0.0.1:9/".parse().unwrap()),
            ..Access::default()
        };
        let ecr = Ecr::new(client(), client(), access, Arc::new(|_: &str| {}));
        let access = Access::default();
        let named = BTreeSet::from([NAMED.to_owned()]);
        let logins = AmazonLogins::new(Arc::new(ecr), &access, false, named);
        let credential = logins.credential(host).await;
        credential.map_err(|error| error.cause.to_string())
    }

    #[test]
    fn a_build_names_the_image_of_its_scanner() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let named_by = |sbom: &str| {
            let variables = [
                ("DEPOT_TOKEN", "token"),
                ("DEPOT_PROJECT_ID", "project"),
                ("SBOM", sbom),
            ];
            let variables = variables.map(|(name, value)| (name.into(), value.into()));
            let (plan, _) = crate::config::read(variables, folder.path()).unwrap();
            named(&plan)
        };
        let scanner = format!("{NAMED}/scanner:1");
        let read = named_by(&format!("generator={scanner}"));
        assert!(read.hosts.contains(NAMED), "{read:?}");
        let image = NamedImage::new(&Reference::parse(&scanner).unwrap(), false);
        assert!(read.images.contains(&image), "{read:?}");
        let default = Reference::parse("docker/buildkit-syft-scanner:stable-1").unwrap();
        let default = NamedImage::new(&default, false);
        assert!(named_by("true").images.contains(&default));
        assert!(!named_by("false").images.contains(&default));
    }

    #[tokio::test(start_paused = true)]
    async fn a_builder_gets_logins_for_hosts_that_the_build_names() {
        for host in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "999999999999.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr-fips.eu-central-1.amazonaws.com",
        ] {
            let refusal = login(host).await.unwrap_err();
            assert!(
                refusal.contains("only for hosts that the build names"),
                "{refusal}"
            );
        }
        assert!(login("public.ecr.aws").await.unwrap().is_none());
        for host in [NAMED, &NAMED.to_ascii_uppercase()] {
            let error = login(host).await.unwrap_err();
            assert!(!error.contains("only for hosts"), "{error}");
        }
    }
}
