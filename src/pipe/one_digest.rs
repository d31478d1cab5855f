//! The digests in registries after a push: one digest for all names if possible, and the image at a rejected tag.

use super::Result;
use super::delivered::Delivered;
use super::failure::Failure;
use super::job::Job;
use super::round::Form;
use super::round::Round;
use super::run::Run;
use crate::buildkit::{ErrorKind, SolveError};
use crate::registry::copy::copy_index;
use crate::registry::reference::Reference;

/// The names of a separate round, with the digest of the earlier names if their registries accept it.
///
/// Each round has provenance of its own, and so another digest of the same image. The index of `model` and its attestations are
/// small, and are copied. A registry that does not accept the copy keeps the digest of the round.
pub(super) async fn with_one_digest(
    run: &Run<'_>,
    job: &Job<'_>,
    model: Option<&(Reference, String)>,
    round: Delivered,
) -> Result<Vec<Delivered>> {
    let (Some((from, wanted)), Some(present)) = (model, &round.digest) else {
        return Ok(vec![round]);
    };
    if wanted == present {
        return Ok(vec![round]);
    }
    let mut pushed = Vec::new();
    for name in &round.names {
        let giving = give_digest(run, job.form, (from, wanted), (name, present));
        let outcome = job.cancel.unless_fired(giving).await;
        let digest = match outcome.map_err(Failure::Canceled)? {
            Ok(()) => wanted.clone(),
            Err(why) => {
                let why = run.masker.mask(why);
                tracing::info!("`{name}` has a different digest, {present}: {why}");
                present.clone()
            }
        };
        pushed.push(Delivered {
            names: vec![name.clone()],
            digest: Some(digest),
        });
    }
    Ok(pushed)
}

/// Copies an index to another name, and moves its tag unless it gets one later. Returns why that failed.
async fn give_digest(
    run: &Run<'_>,
    form: Form,
    from: (&Reference, &str),
    to: (&Reference, &str),
) -> std::result::Result<(), String> {
    let client = &run.registries.client;
    let index = copy_index(client, from, to).await;
    let index = index.map_err(|error| crate::text::cause::one_line(&error))?;
    if form == Form::Part {
        return Ok(());
    }
    let (name, _) = to;
    let put = client.put_manifest(name.host(), name.repository(), name.tag(), &index);
    put.await
        .map_err(|error| crate::text::cause::one_line(&error))
}

/// The name whose push a registry rejected although its tag holds an image, and the digest of that image.
pub(super) async fn rejected_tag(
    run: &Run<'_>,
    job: &Job<'_>,
    error: &SolveError,
    round: &Round,
) -> Option<(Reference, String)> {
    let ErrorKind::Registry { reference, .. } = &error.kind else {
        return None;
    };
    if job.form == Form::Part || !error.may_be_immutable_tag() {
        return None;
    }
    let mut names = round.names.iter();
    let name = names.find(|name| name.to_string() == *reference)?;
    let client = &run.registries.client;
    let reading = client.digest_at(name.host(), name.repository(), name.tag());
    let digest = job.cancel.unless_fired(reading).await.ok()??;
    Some((name.clone(), digest))
}

/// The first name that has a digest.
pub(super) fn model_of(delivered: &[Delivered]) -> Option<(Reference, String)> {
    let mut images = delivered.iter();
    images.find_map(|image| Some((image.names.first()?.clone(), image.digest.clone()?)))
}
