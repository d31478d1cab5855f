//! Image references: the names that images have in registries.
//!
//! The grammar and the short forms (`app` for `docker.io/library/app:latest`) are those of Docker's own reference
//! library, so that a name means here what it means to every other tool. Three rules are stricter: the whole name
//! may have 255 characters, host included, because the builders' older BuildKit counts so; a port must be one that
//! exists; and `a_b.c/app`, whose first part has a dot but is not a host name, is refused instead of getting no host.
//!
//! What surprises: an upper-case letter in the first component makes it a *host* (`Acme/app` is `app` on a registry
//! called `Acme`), and a bare `name:5000` is the tag `5000`, never a port.

mod error;
mod grammar;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

pub use error::ReferenceError;

/// The host that short names stand for.
pub const DOCKER_HUB: &str = "docker.io";

/// Docker Hub's former name, which still stands in configurations and means the same.
const DOCKER_HUB_LEGACY: &str = "index.docker.io";
/// Where Docker Hub keeps the images that are written without a namespace.
const OFFICIAL_NAMESPACE: &str = "library/";
/// What a reference without tag and digest means.
const DEFAULT_TAG: &str = "latest";
/// The longest name, host and slash included, tag and digest not.
pub(crate) const NAME_MAX_CHARACTERS: usize = 255;
/// The longest tag.
pub(crate) const TAG_MAX_CHARACTERS: usize = 128;

/// An image reference in full: host, repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    host: String,
    repository: String,
    /// `None` only beside a digest.
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads a reference, short forms included.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.contains("://") {
            return Err(ReferenceError::Scheme);
        }
        if grammar::is_identifier(text) {
            return Err(ReferenceError::Identifier);
        }
        let (host, rest) = split_host(text);
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match named.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (named, None),
        };
        if !grammar::is_host(host) {
            return Err(ReferenceError::Host {
                host: host.to_owned(),
            });
        }
        check_path(text, path)?;
        if let Some(tag) = tag {
            check_tag(tag)?;
        }
        if let Some(digest) = digest
            && !crate::text::shape::is_digest(digest)
        {
            return Err(ReferenceError::Digest);
        }
        let reference = Self::assemble(host, path, tag, digest);
        let length = reference.host.len() + 1 + reference.repository.len();
        if length > NAME_MAX_CHARACTERS {
            return Err(ReferenceError::NameTooLong { length });
        }
        Ok(reference)
    }

    /// Reads a name that an image is to be pushed under, which can hold no digest: the digest comes out of the push.
    pub fn parse_push_target(text: &str) -> Result<Self, ReferenceError> {
        let reference = Self::parse(text)?;
        match reference.digest {
            None => Ok(reference),
            Some(_) => Err(ReferenceError::DigestInPushTarget {
                without: text.split('@').next().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Fills in what short forms leave out. The parts were checked before.
    fn assemble(host: &str, path: &str, tag: Option<&str>, digest: Option<&str>) -> Self {
        let host = if host == DOCKER_HUB_LEGACY {
            DOCKER_HUB
        } else {
            host
        };
        let repository = if host == DOCKER_HUB && !path.contains('/') {
            format!("{OFFICIAL_NAMESPACE}{path}")
        } else {
            path.to_owned()
        };
        let tag = match (tag, digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Self {
            host: host.to_owned(),
            repository,
            tag,
            digest: digest.map(str::to_owned),
        }
    }

    /// The registry's host as it was written, with its port if there was one; `docker.io` for short names.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository on that host, such as `library/app`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where none was written.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// The digest, such as `sha256:…`, of a reference that names one image for good.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// True where the first component counts as a host only because of its upper-case letters, as in `Acme/app`.
    ///
    /// Valid, and almost never meant.
    #[must_use]
    pub fn host_is_bare_word(&self) -> bool {
        self.host != "localhost" && !self.host.contains(['.', ':'])
    }

    /// The short form that people write: Docker Hub's host and `library/` left out where that reads back the same.
    #[must_use]
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let without_host = full
            .strip_prefix(DOCKER_HUB)
            .and_then(|rest| rest.strip_prefix('/'));
        let without_namespace = without_host.and_then(|rest| rest.strip_prefix(OFFICIAL_NAMESPACE));
        // `docker.io/localhost/app` without its host would be `app` on the registry `localhost`.
        let shorter = [without_namespace, without_host].into_iter().flatten();
        let shortest = shorter
            .map(str::to_owned)
            .find(|short| Self::parse(short).as_ref() == Ok(self));
        shortest.unwrap_or(full)
    }

    /// Everything after the repository.
    fn suffix(&self) -> String {
        let mut suffix = String::new();
        for (separator, part) in [(':', &self.tag), ('@', &self.digest)] {
            if let Some(part) = part {
                suffix.push(separator);
                suffix.push_str(part);
            }
        }
        suffix
    }
}

/// The full form: `docker.io/library/app:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}{}",
            self.host,
            self.repository,
            self.suffix()
        )
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Tells the host from the rest; a text whose first component cannot be a host belongs to Docker Hub whole.
fn split_host(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first == "localhost" || first.contains(['.', ':']) || has_upper_case(first) =>
        {
            (first, rest)
        }
        _ => (DOCKER_HUB, text),
    }
}

fn check_path(text: &str, path: &str) -> Result<(), ReferenceError> {
    if path.is_empty() {
        return Err(ReferenceError::NoRepository);
    }
    if has_upper_case(path) && grammar::is_path(&path.to_ascii_lowercase()) {
        return Err(ReferenceError::UpperCase {
            lower_case: lower_case_name(text),
        });
    }
    if grammar::is_path(path) {
        Ok(())
    } else {
        Err(ReferenceError::Repository {
            path: path.to_owned(),
        })
    }
}

fn check_tag(tag: &str) -> Result<(), ReferenceError> {
    if tag.is_empty() {
        return Err(ReferenceError::EmptyTag);
    }
    if let Some((first, second)) = tag.split_once(':') {
        return Err(ReferenceError::TwoTags {
            first: first.to_owned(),
            second: second.to_owned(),
        });
    }
    if tag.len() > TAG_MAX_CHARACTERS && grammar::is_tag(tag) {
        return Err(ReferenceError::TagTooLong { length: tag.len() });
    }
    if grammar::is_tag(tag) {
        Ok(())
    } else {
        Err(ReferenceError::Tag {
            tag: tag.to_owned(),
        })
    }
}

/// The text with everything but tag and digest in lower case.
///
/// The host too: it knows no case, and where it is one by its upper-case letters alone it was meant as a namespace.
fn lower_case_name(text: &str) -> String {
    let path_start = text.find('/').map_or(0, |slash| slash + 1);
    let name_end = text
        .char_indices()
        .find(|&(position, character)| position >= path_start && matches!(character, ':' | '@'))
        .map_or(text.len(), |(position, _)| position);
    let (name, suffix) = text.split_at_checked(name_end).unwrap_or((text, ""));
    format!("{}{suffix}", name.to_ascii_lowercase())
}

fn has_upper_case(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase())
}
