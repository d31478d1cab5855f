//! Why a text is not an image reference, and how to correct it.

use super::{NAME_MAX_CHARACTERS, TAG_MAX_CHARACTERS};

/// Why a text is not an image reference.
///
/// The messages follow the reference: "`acme/App` has upper-case letters in its repository name".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReferenceError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// A URL instead of a name.
    #[error("begins with a scheme")]
    Scheme,
    /// 64 hexadecimal digits, which Docker treats as the id of a local image.
    #[error("is an image id, not a name")]
    Identifier,
    /// The part before the first slash is not a host.
    #[error("has a registry `{host}`, which is not a valid host")]
    Host {
        /// The part before the first slash.
        host: String,
    },
    /// A host or a tag without a repository.
    #[error("has no repository")]
    NoRepository,
    /// Repository names have no upper-case letters.
    #[error("has upper-case letters in its repository name")]
    UpperCase {
        /// The same reference in lower case.
        lower_case: String,
    },
    /// A character or a sequence of separators that repository names cannot have.
    #[error("has an invalid repository name `{path}`")]
    Repository {
        /// The part between host and tag.
        path: String,
    },
    /// Host and repository together are too long.
    #[error("has a name of {length} characters; the limit is {NAME_MAX_CHARACTERS}")]
    NameTooLong {
        /// In characters, host and slash included.
        length: usize,
    },
    /// A colon without a tag.
    #[error("has an empty tag after `:`")]
    EmptyTag,
    /// More than one tag on one name.
    #[error("has two tags, `{first}` and `{second}`")]
    TwoTags {
        /// The text between the first and the second colon.
        first: String,
        /// The text after the second colon.
        second: String,
    },
    /// A tag of valid characters that is too long.
    #[error("has a tag of {length} characters; the limit is {TAG_MAX_CHARACTERS}")]
    TagTooLong {
        /// In characters.
        length: usize,
    },
    /// A character that tags cannot have.
    #[error("has an invalid tag `{tag}`")]
    Tag {
        /// The text after the colon.
        tag: String,
    },
    /// The text after `@` is not a digest of a known algorithm.
    #[error("has an invalid digest after `@`")]
    Digest,
    /// A digest in the name of an image to push.
    #[error("has a digest, which is not allowed in the name of a new image")]
    DigestInPushTarget {
        /// The same reference without its digest.
        without: String,
    },
}

impl ReferenceError {
    /// The correction, as the end of a sentence that begins with "write".
    #[must_use]
    pub(crate) fn advice(&self) -> String {
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
            Self::EmptyTag => "a tag after the `:`, or omit the `:` (is the variable in its place empty?)".into(),
            Self::TwoTags { .. } => "one reference for each tag, such as `acme/app:1.0 acme/app:latest`".into(),
            Self::TagTooLong { .. } => format!("a tag of at most {TAG_MAX_CHARACTERS} characters"),
            Self::Tag { .. } => {
                "a tag of letters, digits, `_`, `.` and `-` that does not begin with `.` or `-`".into()
            }
            Self::Digest => "`sha256:` and 64 hexadecimal digits after the `@`".into(),
            Self::DigestInPushTarget { without } => format!("`{without}`"),
        }
    }
}
