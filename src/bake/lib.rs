//! Bake definitions: files in, targets out.
//!
//! A definition is written in HCL, in JSON or as a compose file. [`read`] parses the files, evaluates them and returns the requested
//! targets, as `depot bake --print` shows them. The library knows nothing of Bitbucket and Depot: the caller supplies the files and the
//! values of variables.
//!
//! | module | content |
//! |---|---|
//! | `source` | the files, places in them, and errors that show the source line |
//! | `budget` | the limits of an evaluation |
//! | `value` | values, types and conversions of the language |
//! | `hcl` | evaluates expressions and templates of HCL and of JSON bodies |
//! | `functions` | the standard functions |
//! | `flags` | caches, outputs, attestations, secrets and SSH keys, as text and as object |
//! | `target` | a target and a group, and how targets merge |
//! | `definition` | variables, functions, blocks, matrix, inheritance, overrides |
//! | `compose` | compose files |
//! | `ordered` | collects into sorted maps and sets |
//! | `files` | the default files, and the kind of a file |
//! | `print` | the JSON form |

mod budget;
mod compose;
mod definition;
mod files;
mod flags;
mod functions;
mod hcl;
mod ordered;
mod print;
mod source;
mod target;
mod value;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

pub use flags::{Attestation, Cache, Export, Secret, Ssh};
pub use source::{Error, Part, Place, Source};
pub use target::{ComposeService, Extra, Group, Target};

/// Reads a file by its path; a relative path is one in the working directory, `-` is standard input.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The value of a variable of the environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which definition to read, and what the caller adds to it.
#[derive(Clone)]
pub struct Request<'a> {
    /// The files, in order; without any, the default ones that exist.
    pub files: Vec<String>,
    /// The targets and groups to build; without any, `default`.
    pub targets: Vec<String>,
    /// Overrides of attributes, `PATTERN.KEY[+]=VALUE`.
    pub overrides: Vec<String>,
    /// The flags that are overrides of all targets.
    pub flags: Flags,
    /// The platform of the builder, `linux/amd64`.
    pub platform: String,
    /// The values of variables.
    pub variable: Lookup<'a>,
    /// Reads files.
    pub read_file: ReadFile<'a>,
}

impl<'a> Request<'a> {
    /// The targets `default` of the default files.
    #[must_use]
    pub fn new(variable: Lookup<'a>, read_file: ReadFile<'a>) -> Self {
        Self {
            files: Vec::new(),
            targets: Vec::new(),
            overrides: Vec::new(),
            flags: Flags::default(),
            platform: "linux/amd64".into(),
            variable,
            read_file,
        }
    }
}

/// The flags of `depot bake` that are overrides of all targets.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--push`: sets `push=true` on the outputs.
    pub push: bool,
    /// `--no-cache`.
    pub no_cache: Option<bool>,
    /// `--pull`.
    pub pull: Option<bool>,
    /// `--sbom`: `true`, `false` or attributes.
    pub sbom: Option<String>,
    /// `--provenance`: `true`, `false` or attributes.
    pub provenance: Option<String>,
}

/// The targets to build.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The groups that were requested or are members of one that was, and `default`.
    pub groups: BTreeMap<String, Group>,
    /// The targets, including those that others link to.
    pub targets: BTreeMap<String, Target>,
    /// Attributes and blocks that have no effect.
    pub warnings: Vec<Error>,
}

impl Definition {
    /// The JSON that `depot bake --print` shows.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        print::definition(&self.groups, &self.targets)
    }
}

/// Reads a definition.
pub fn read(request: &Request<'_>) -> Result<Definition, Error> {
    definition::read(request)
}
