//! Compose files: several files in, services with a `build` section out.
//!
//! The steps, for each document of each file:
//!
//! | module | step |
//! |---|---|
//! | `yaml`, `scalar` | reads YAML with its anchors, merge keys and tags into a [`node::Node`] |
//! | `template`, `dotenv` | replaces `${NAME}`; reads `.env` and `env_file` |
//! | `load` | `include`, `extends`, several documents and files |
//! | `merge` | the merge rules of compose |
//! | `schema`, `shape` | the attributes that compose knows, and their types |
//! | `canonical` | short forms become long ones; relative paths are joined |
//! | `check` | references between services, and values that are well-formed |
//! | `service` | the service as a target of bake |
//!
//! [`Compose::detect`] decides whether a file is a compose file, and [`Compose::load`] reads all compose files of a definition together.
//! Files that a definition refers to are read through a callback, relative to the working directory, like the released CLI does it.

pub(crate) mod service;

pub(crate) use service::{Extra, Service};
