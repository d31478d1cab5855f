//! All that reads what others send, each as one function of bytes: for `fuzz/`, and for the property tests.
//!
//! Whatever the bytes are, none of these may panic, and what they take is bounded by what they are given. Where more has
//! to hold they assert it: that is the finding. The bytes of one call are often several texts; a zero byte stands
//! between two of them.

mod builder;
mod config;
mod context;
mod depot;
mod docker;
mod registry;
mod report;
#[cfg(test)]
mod tests;

pub use builder::{proxy_answers, solve_errors};
pub use config::{config, outputs};
pub use context::{file_sync, patterns};
pub use depot::{depot_answers, depot_errors};
pub use docker::{docker_answers, images};
pub use registry::{challenges, references, registry_answers, token_answers};
pub use report::{progress, text};

/// What must never be shown.
const SECRET: &str = "correct-horse-battery";

/// The texts of an input.
fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == 0)
}

/// The same where a fixed number is wanted: those that are missing are empty, the last one holds all the rest.
fn fixed_parts<const COUNT: usize>(bytes: &[u8]) -> [&[u8]; COUNT] {
    let mut rest = bytes.splitn(COUNT, |&byte| byte == 0);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An HTTP status out of two bytes, and what follows them.
fn status(bytes: &[u8]) -> (u16, &[u8]) {
    match bytes {
        [high, low, rest @ ..] => (100 + u16::from_be_bytes([*high, *low]) % 500, rest),
        _ => (200, bytes),
    }
}

/// Runs what needs a runtime. Nothing waits here, so one a thread does.
fn run<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Option<tokio::runtime::Runtime> =
            tokio::runtime::Builder::new_current_thread().enable_time().build().ok();
    }
    RUNTIME.with(|runtime| {
        let Some(runtime) = runtime else {
            unreachable!("a runtime without I/O takes nothing that could be missing");
        };
        runtime.block_on(work)
    })
}

/// A text that is passed on as it is: with no control characters but line ends, and no secret.
fn assert_harmless(text: &str) {
    let harm = |character: char| character.is_control() && character != '\n';
    assert!(!text.contains(harm), "{text:?}");
}
