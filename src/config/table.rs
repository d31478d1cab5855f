//! The one table of the pipe's variables.
//!
//! `cargo variables` writes the lists of `pipe.yml` and of the README from it, and a test fails if they are stale. A
//! test also compares it with the structs that `envy` fills.

mod rows;

pub use rows::all_variables;

use crate::bitbucket::variables::OIDC_TOKEN;

/// Depot's API, unless `DEPOT_API_URL` is set.
pub const DEFAULT_API_URL: &str = "https://api.depot.dev";

/// How a variable's value is read, and whether it can be a Bitbucket array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A list whose entries contain no commas and no white space, so that both are separators.
    Words,
    /// Names and values: lines, an array, or a YAML mapping.
    Pairs,
    /// A list whose entries can contain commas and spaces: one on each line, or an array.
    Lines,
    /// A list of YAML mappings: one YAML text, or an array of texts.
    List,
}

impl Kind {
    /// Whether the value can be a Bitbucket array (`NAME_COUNT`, `NAME_0` …).
    #[must_use]
    pub const fn takes_array(self) -> bool {
        matches!(self, Self::Words | Self::Pairs | Self::Lines | Self::List)
    }
}

/// The value of a variable that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing.
    None,
    /// This value, which is also the default in `pipe.yml`.
    Value(&'static str),
    /// The repository's or workspace's variable of the same name, which is the default in `pipe.yml`.
    SameName,
    /// A value that depends on the step, described in words.
    Described(&'static str),
}

/// A group of variables in the README, in the README's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Depot,
    Image,
    Source,
    Bake,
    Secrets,
    Cache,
    Steps,
    Metadata,
    Registries,
    Amazon,
    Outputs,
    Rest,
}

/// One variable of the pipe.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name. Names are case-sensitive.
    pub name: &'static str,
    /// Whether it must be set.
    pub required: bool,
    /// Whether its value must never be printed.
    pub secret: bool,
    /// How its value is read.
    pub kind: Kind,
    /// The value if it is not set.
    pub fallback: Fallback,
    /// Its group in the README.
    #[cfg(test)]
    pub(super) topic: Topic,
    /// Its purpose and the forms of its value, as Markdown without line breaks. Not part of the released program.
    #[cfg(test)]
    pub(super) usage: &'static str,
}

impl Variable {
    #[cfg_attr(
        not(test),
        expect(
            unused_variables,
            reason = "only `cargo variables` needs `topic` and `usage`"
        )
    )]
    const fn new(
        topic: Topic,
        name: &'static str,
        kind: Kind,
        fallback: Fallback,
        usage: &'static str,
    ) -> Self {
        Self {
            name,
            required: false,
            secret: false,
            kind,
            fallback,
            #[cfg(test)]
            topic,
            #[cfg(test)]
            usage,
        }
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// Identities of the step or of the runner. Users do not set them, and they are never printed.
pub const IDENTITY_VARIABLES: [&str; 5] = [
    OIDC_TOKEN,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// The address of the step's Docker daemon. Docker's own variables, which Bitbucket sets.
pub const DAEMON_VARIABLES: [&str; 3] = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];
