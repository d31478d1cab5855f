//! Image references: the names of images in registries.
//!
//! The grammar and the short forms (`app` for `docker.io/library/app:latest`) are those of Docker's own reference
//! library, so that a name has the same meaning as in other tools. Three rules are stricter. The limit of 255
//! characters includes the host, as in older versions of BuildKit. A port must be valid. `a_b.c/app`, whose first part has
//! a dot but is not a host name, is rejected; Docker treats it as a name without host.
//!
//! Note that an upper-case letter in the first component makes it a *host* (`Acme/app` is `app` on the registry `Acme`),
//! and that a bare `name:5000` has the tag `5000`, not a port.

mod error;
mod grammar;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub(crate) use error::ReferenceError;

/// The host of short names.
pub(crate) const DOCKER_HUB: &str = "docker.io";

/// Docker Hub's former name, which is still used in configurations.
const DOCKER_HUB_LEGACY: &str = "index.docker.io";
/// The namespace of Docker Hub's images that are written without one.
const OFFICIAL_NAMESPACE: &str = "library/";
/// The tag of a reference without tag and digest.
const DEFAULT_TAG: &str = "latest";
/// The longest name, with host and slash, without tag and digest.
pub(crate) const NAME_MAX_CHARACTERS: usize = 255;
/// The longest tag.
pub(crate) const TAG_MAX_CHARACTERS: usize = 128;

/// An image reference in full: host, repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reference {
    host: String,
    repository: String,
    /// `None` only if there is a digest.
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Parses a reference, also in its short forms.
    pub(crate) fn parse(text: &str) -> Result<Self, ReferenceError> {
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

    /// Parses the name of an image to push. It cannot have a digest, which is known only after the push.
    pub(crate) fn parse_push_target(text: &str) -> Result<Self, ReferenceError> {
        let reference = Self::parse(text)?;
        match reference.digest {
            None => Ok(reference),
            Some(_) => Err(ReferenceError::DigestInPushTarget {
                without: text.split('@').next().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Adds the parts that short forms omit. The parts must be valid.
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
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The repository on that host, such as `library/app`.
    #[must_use]
    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` if there is none.
    #[must_use]
    pub(crate) fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// The digest, such as `sha256:…`, if the reference has one.
    #[must_use]
    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The same repository under another tag, without a digest.
    ///
    /// # Errors
    /// The tag is not valid.
    pub(crate) fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        check_tag(tag)?;
        Ok(Self {
            host: self.host.clone(),
            repository: self.repository.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }

    /// The same reference with `-suffix` after its tag. `None` with a digest, or if the tag would be too long.
    #[must_use]
    pub(crate) fn with_tag_suffix(&self, suffix: &str) -> Option<Self> {
        let tag = format!("{}-{suffix}", self.tag());
        (self.digest.is_none() && tag.len() <= TAG_MAX_CHARACTERS).then(|| Self {
            tag: Some(tag),
            ..self.clone()
        })
    }

    /// Whether the first component is a host only because of its upper-case letters, as in `Acme/app`.
    ///
    /// That is valid, but rarely intended.
    #[must_use]
    pub(crate) fn host_is_bare_word(&self) -> bool {
        self.host != "localhost" && !self.host.contains(['.', ':'])
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

/// Splits the host from the rest. If the first component is not a host, the whole text is a name on Docker Hub.
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

/// The text with everything except tag and digest in lower case.
///
/// This includes the host: hosts are case-insensitive, and one with upper-case letters is often meant as a namespace.
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
