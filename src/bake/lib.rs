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
//! | `print` | the JSON form |

mod budget;
mod hcl;
mod source;
mod value;

pub use source::{Error, Place, Source};
