//! Why a text is no image reference, and what was probably meant.

use super::{NAME_MAX_CHARACTERS, TAG_MAX_CHARACTERS};

/// Why a text is no image reference.
///
/// The messages go on from the reference itself: "`acme/App` has upper-case letters in its repository name".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing was written.
    #[error("is empty")]
    Empty,
    /// An address instead of a name.
    #[error("begins with a scheme")]
    Scheme,
    /// 64 hexadecimal digits, which Docker takes for the id of a local image.
    #[error("reads as an image id, not as a name")]
    Identifier,
    /// The part before the first slash is not a host.
    #[error("names a registry `{host}` that is not a host name")]
    Host {
        /// The part before the first slash.
        host: String,
    },
    /// A host or a tag and nothing between.
    #[error("names no repository")]
    NoRepository,
    /// Repository names have lower-case letters only.
    #[error("has upper-case letters in its repository name")]
    UpperCase {
        /// The same reference as it would be valid in this respect.
        lower_case: String,
    },
    /// A character or an order of separators that repository names do not have.
    #[error("has a repository name `{path}` that is not valid")]
    Repository {
        /// The part between host and tag.
        path: String,
    },
    /// Host and repository together are too long.
    #[error("has a name of {length} characters; {NAME_MAX_CHARACTERS} are the most")]
    NameTooLong {
        /// In characters, host and slash included.
        length: usize,
    },
    /// A colon with nothing behind it.
    #[error("ends its name with `:` and gives no tag")]
    EmptyTag,
    /// More than one tag on one name.
    #[error("has two tags, `{first}` and `{second}`")]
    TwoTags {
        /// What stands between the first and the second colon.
        first: String,
        /// Everything behind the second colon.
        second: String,
    },
    /// A tag of valid characters that is too long.
    #[error("has a tag of {length} characters; {TAG_MAX_CHARACTERS} are the most")]
    TagTooLong {
        /// In characters.
        length: usize,
    },
    /// A character that tags do not have.
    #[error("has a tag `{tag}` that is not valid")]
    Tag {
        /// What stands behind the colon.
        tag: String,
    },
    /// What stands behind `@` is no digest of a known algorithm.
    #[error("has something behind `@` that is not a digest")]
    Digest,
    /// A digest where the name of something yet to be pushed is wanted.
    #[error("has a digest, which an image that is yet to be pushed cannot be named by")]
    DigestInPushTarget {
        /// The same reference without its digest.
        without: String,
    },
}

impl ReferenceError {
    /// What to write instead, as the end of a sentence that begins with "write".
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Empty | Self::NoRepository | Self::Identifier => "a name such as `acme/app:1.0`".into(),
            Self::Scheme => "it without `https://`, such as `registry.example.com/acme/app:1.0`".into(),
            Self::Host { .. } => "a host and its port, such as `registry.example.com:5000/acme/app:1.0`".into(),
            Self::UpperCase { lower_case } => format!("`{lower_case}`"),
            Self::Repository { .. } => {
                "lower-case letters and digits, with `.`, `_`, `__` or `-` only between them and `/` between parts"
                    .into()
            }
            Self::NameTooLong { .. } => format!("at most {NAME_MAX_CHARACTERS} characters before the tag"),
            Self::EmptyTag => "a tag behind the `:`, or leave the `:` out (a variable in its place was empty?)".into(),
            Self::TwoTags { .. } => "one reference for each tag, such as `acme/app:1.0 acme/app:latest`".into(),
            Self::TagTooLong { .. } => format!("a tag of at most {TAG_MAX_CHARACTERS} characters"),
            Self::Tag { .. } => {
                "a tag of letters, digits, `_`, `.` and `-` that does not begin with `.` or `-`".into()
            }
            Self::Digest => "`sha256:` and 64 hexadecimal digits behind the `@`".into(),
            Self::DigestInPushTarget { without } => format!("`{without}`"),
        }
    }
}
