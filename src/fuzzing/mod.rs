//! Every parser of input from outside, as a function of bytes: for `fuzz/` and for the property tests.
//!
//! No input may cause a panic, and time and memory are bounded by the size of the input. Further properties are
//! assertions: a failed one is a finding. An input often contains several texts, separated by zero bytes.

mod bake;
mod builder;
mod config;
mod context;
mod depot;
mod destination;
mod docker;
mod registry;
mod report;
mod ssh;
#[cfg(test)]
mod tests;

pub use bake::bake;
pub use builder::{proxy_responses, solve_errors};
pub use config::{
    cache_entries, config, csv_entries, git_addresses, metadata, outputs, secrets, steps, tags,
};
pub use context::{checkouts, file_sync, patterns};
pub use depot::{depot_errors, depot_responses};
pub use destination::file_send;
pub use docker::{docker_responses, images};
pub use registry::{
    challenges, copied_manifests, references, registry_prefixes, registry_responses, sboms,
    token_responses,
};
pub use report::{progress, text};
pub use ssh::{ssh_agent, ssh_keys};

/// A secret that must not be in any output.
const SECRET: &str = "correct-horse-battery";

/// The texts of an input.
fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == 0)
}

/// A fixed number of texts. Missing ones are empty; the last one contains the rest of the input.
fn fixed_parts<const COUNT: usize>(bytes: &[u8]) -> [&[u8]; COUNT] {
    let mut rest = bytes.splitn(COUNT, |&byte| byte == 0);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An HTTP status from the first two bytes, and the rest.
fn status(bytes: &[u8]) -> (u16, &[u8]) {
    match bytes {
        [high, low, rest @ ..] => (100 + u16::from_be_bytes([*high, *low]) % 500, rest),
        _ => (200, bytes),
    }
}

/// Runs `work` on a runtime. Each thread has one, because nothing waits.
fn run<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Option<tokio::runtime::Runtime> =
            tokio::runtime::Builder::new_current_thread().enable_time().build().ok();
    }
    RUNTIME.with(|runtime| {
        let Some(runtime) = runtime else {
            unreachable!("a runtime without I/O needs no resources that could be missing");
        };
        runtime.block_on(work)
    })
}

/// Asserts that a text, which is printed unchanged, contains no control characters except line ends.
fn assert_harmless(text: &str) {
    let harm = |character: char| character.is_control() && character != '\n';
    assert!(!text.contains(harm), "{text:?}");
}
