//! The program as a pipeline runs it: variables in, log and exit code out.
//!
//! Behind it stands the local Depot on a real BuildKit and a real registry; both are started once
//! for all tests. What the tests of one file have in common is told by its first lines.

#![cfg(test)]

mod amazon;
mod api_faults;
mod builds;
mod cancel;
mod changing_files;
mod content;
mod context;
mod depot_faults;
mod examples;
mod large_logs;
mod loading;
mod loading_by_pull;
mod loading_faults;
mod logs;
mod lost_builders;
mod machines;
mod on_internet;
mod outputs;
mod own_image;
mod pipeline;
mod place;
mod platforms;
mod program;
mod proxies;
mod registries;
mod registry_faults;
mod saved;
mod secrets;
mod several;
mod tokens;
mod variables;
mod words;
