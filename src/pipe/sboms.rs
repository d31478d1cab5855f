//! The SBOMs of an image, read from the builders that created them.
//!
//! They are read from the content store of the builder, whether or not the image is pushed: Depot's builders list the SBOMs in the
//! response, and keep them with the lease of the export. Other builders have them in the attestations below the index.

use std::time::Duration;

use bytes::Bytes;
use tonic::Status;

use super::Result;
use super::delivered::Built;
use super::failure::Failure;
use super::job::Job;
use super::share::{Share, ShareResult};
use crate::buildkit::{Connection, Solved, is_lost, status_message};
use crate::depot::fork::{self, SBOMS};
use crate::registry::sbom::{self, SbomFault};
use crate::text::digest::sha256;

/// The limit for a manifest: that of registries.
const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// The limit for the SBOMs of one builder together. That of a large image has some ten MiB.
const MAX_SBOM_BYTES: usize = 64 << 20;

/// The limit for reading one document.
const READ_LIMIT: Duration = Duration::from_mins(2);

/// The SBOM of one platform.
#[derive(Debug)]
pub(super) struct Sbom {
    /// Such as `linux/arm/v7`.
    pub(super) platform: String,
    /// The SPDX document, as JSON.
    pub(super) document: Bytes,
}

/// Why an SBOM was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SbomError {
    /// The builder did not return a document.
    #[error("reading {digest} failed: {reason}")]
    Read {
        digest: String,
        reason: String,
        /// Whether the connection was lost.
        is_lost: bool,
    },
    /// A document has another content than its digest.
    #[error("{digest} has another content")]
    Content { digest: String },
    /// A document is malformed.
    #[error("{document} cannot be used")]
    Malformed {
        document: String,
        #[source]
        source: SbomFault,
    },
    /// The response has an invalid list.
    #[error("the builder's list of SBOMs cannot be used: {0}")]
    List(String),
    /// The image has no SBOM.
    #[error("the builder created no SBOM")]
    None,
}

/// Reads the SBOMs of all shares. A machine that is lost is requested again, and exports the image again.
pub(super) async fn read(
    job: &Job<'_>,
    shares: &[Share<'_>],
    results: &[ShareResult],
) -> Result<Vec<Sbom>> {
    let mut sboms = Vec::new();
    for (share, result) in shares.iter().zip(results) {
        let read = of_share(job, share, result).await;
        sboms.extend(read.inspect_err(|_| job.report_delivered())?);
    }
    Ok(sboms)
}

async fn of_share(job: &Job<'_>, share: &Share<'_>, result: &ShareResult) -> Result<Vec<Sbom>> {
    let (mut link, mut again) = (result.built.link.clone(), None::<Built>);
    loop {
        let solved = match &again {
            Some(built) => &built.solved,
            None => result.attested.as_ref().unwrap_or(&result.built.solved),
        };
        let reading = of_solve(&link.connection, solved);
        let read = job.cancel.unless_fired(reading).await;
        let failure = match read.map_err(Failure::Canceled)? {
            Ok(sboms) => return Ok(sboms),
            Err(source) => Failure::Sbom {
                target: share.solver.label.clone(),
                source,
            },
        };
        if !failure.is_machine_lost() {
            return Err(failure);
        }
        match share.build_again(&link, &failure).await {
            Ok(Some(built)) => {
                link = built.link.clone();
                again = Some(built);
            }
            Ok(None) => return Err(failure),
            Err(other) => return Err(other),
        }
    }
}

/// The SBOMs of one solve, one for each platform.
async fn of_solve(
    connection: &Connection,
    solved: &Solved,
) -> std::result::Result<Vec<Sbom>, SbomError> {
    let statements = match solved.response.get(SBOMS) {
        Some(encoded) => fork::parse_sboms(encoded).map_err(SbomError::List)?,
        None => statements(connection, solved).await?,
    };
    let mut left = MAX_SBOM_BYTES;
    let mut sboms: Vec<Sbom> = Vec::new();
    for (platform, digest) in first_of_each(statements) {
        let statement = document(connection, &digest, left).await?;
        left = left.saturating_sub(statement.len());
        let document = sbom::document(&statement).map_err(|source| SbomError::Malformed {
            document: digest,
            source,
        })?;
        sboms.push(Sbom { platform, document });
    }
    if sboms.is_empty() {
        return Err(SbomError::None);
    }
    Ok(sboms)
}

/// The first statement of each platform, which is that of the image; those of build stages follow.
fn first_of_each(statements: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut first: Vec<(String, String)> = Vec::new();
    for (platform, digest) in statements {
        if !first.iter().any(|(known, _)| *known == platform) {
            first.push((platform, digest));
        }
    }
    first
}

/// The platforms and the digests of the statements in the attestations of an index.
async fn statements(
    connection: &Connection,
    solved: &Solved,
) -> std::result::Result<Vec<(String, String)>, SbomError> {
    let Some(index) = solved.digest() else {
        return Err(SbomError::None);
    };
    let malformed = |digest: &str, source| SbomError::Malformed {
        document: digest.to_owned(),
        source,
    };
    let bytes = document(connection, index, MAX_MANIFEST_BYTES).await?;
    let attestations = sbom::attestations(&bytes).map_err(|fault| malformed(index, fault))?;
    let mut statements = Vec::new();
    for (platform, digest) in attestations {
        let manifest = document(connection, &digest, MAX_MANIFEST_BYTES).await?;
        let statement = sbom::statement(&manifest).map_err(|fault| malformed(&digest, fault))?;
        statements.extend(statement.map(|statement| (platform.to_string(), statement)));
    }
    Ok(statements)
}

/// Reads a document and verifies its digest.
async fn document(
    connection: &Connection,
    digest: &str,
    limit: usize,
) -> std::result::Result<Bytes, SbomError> {
    let reading = connection.read_document(digest, limit);
    let read = match tokio::time::timeout(READ_LIMIT, reading).await {
        Ok(read) => read,
        Err(_) => Err(Status::deadline_exceeded("timed out")),
    };
    let bytes = read.map_err(|status| SbomError::Read {
        digest: digest.to_owned(),
        reason: status_message(&status),
        is_lost: is_lost(&status),
    })?;
    if sha256(&bytes) != digest {
        return Err(SbomError::Content {
            digest: digest.to_owned(),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_statement_of_a_platform_is_that_of_the_image() {
        let pair = |platform: &str, digest: &str| (platform.to_owned(), digest.to_owned());
        let statements = vec![pair("a", "image"), pair("b", "only"), pair("a", "stage")];
        assert_eq!(
            first_of_each(statements),
            [pair("a", "image"), pair("b", "only")]
        );
    }
}
