//! The program as a pipeline runs it: variables in, log and exit code out.
//!
//! It uses the local Depot, on a real BuildKit and a real registry, which are started once for all
//! tests. The first lines of each file describe its tests.

#![cfg(test)]

mod amazon;
mod api_faults;
mod attestations;
mod bake;
mod build_secrets;
mod builds;
mod caches;
mod cancel;
mod changing_files;
mod compression;
mod content;
mod context;
mod depot_faults;
mod examples;
mod exports;
mod freshness;
mod git;
mod hints;
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
mod own_registries;
mod pipeline;
mod place;
mod platforms;
mod program;
mod promote;
mod promote_faults;
mod proxies;
mod registries;
mod registry_faults;
mod saved;
mod sboms;
mod secrets;
mod several;
mod ssh;

mod steps;
mod summary;
mod tags;
mod tokens;
mod variables;
