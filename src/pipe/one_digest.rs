//! What registries hold after a push: the same digest under every name if they can have it, and what a refused tag holds.

use super::Result;
use super::failure::Failure;
use super::on_machine::{Delivered, Part};
use super::round::Round;
use crate::buildkit::{ErrorKind, SolveError};
use crate::registry::copy::copy_index;
use crate::registry::reference::Reference;

impl Part<'_> {
    /// Names that were pushed in a round of their own, with the digest of the names before them if they can have it.
    ///
    /// Each round has provenance of its own, and so another digest of the same image. What the model has more than these is
    /// small and is copied. A registry that does not take it keeps what it has.
    pub(super) async fn with_one_digest(
        &self,
        model: Option<&(Reference, String)>,
        names: Vec<Reference>,
        digest: Option<String>,
    ) -> Result<Vec<Delivered>> {
        let (Some((from, wanted)), Some(present)) = (model, &digest) else {
            return Ok(vec![Delivered { names, digest }]);
        };
        if wanted == present {
            return Ok(vec![Delivered { names, digest }]);
        }
        let mut pushed = Vec::new();
        for name in names {
            let giving = self.give_digest((from, wanted), (&name, present));
            let outcome = self
                .cancel
                .unless_fired(giving)
                .await
                .map_err(Failure::Canceled)?;
            let digest = match outcome {
                Ok(()) => wanted.clone(),
                Err(why) => {
                    let why = self.work.masker.mask(why);
                    tracing::info!("`{name}` has a digest of its own, {present}: {why}");
                    present.clone()
                }
            };
            pushed.push(Delivered {
                names: vec![name],
                digest: Some(digest),
            });
        }
        Ok(pushed)
    }

    /// Copies an index to another name, and moves its tag if it has one by now. Returns why that failed.
    async fn give_digest(
        &self,
        from: (&Reference, &str),
        to: (&Reference, &str),
    ) -> std::result::Result<(), String> {
        let client = &self.work.registries.client;
        let index = copy_index(client, from, to).await;
        let index = index.map_err(|error| crate::text::cause::one_line(&error))?;
        if self.work.by_digest() {
            return Ok(());
        }
        let (name, _) = to;
        let put = client.put_manifest(name.host(), name.repository(), name.tag(), &index);
        put.await
            .map_err(|error| crate::text::cause::one_line(&error))
    }

    /// The name whose push a registry refused though its tag holds an image, and the digest of that.
    pub(super) async fn refused_tag(
        &self,
        error: &SolveError,
        round: &Round,
    ) -> Option<(Reference, String)> {
        let ErrorKind::Registry { reference, .. } = &error.kind else {
            return None;
        };
        if self.work.by_digest() || !error.may_be_immutable_tag() {
            return None;
        }
        let name = round
            .names
            .iter()
            .find(|name| name.to_string() == *reference)?;
        let client = &self.work.registries.client;
        let reading = client.digest_at(name.host(), name.repository(), name.tag());
        let digest = self.cancel.unless_fired(reading).await.ok()??;
        Some((name.clone(), digest))
    }
}

/// The first name that has a digest.
pub(super) fn model_of(delivered: &[Delivered]) -> Option<(Reference, String)> {
    let mut images = delivered.iter();
    images.find_map(|image| Some((image.names.first()?.clone(), image.digest.clone()?)))
}
