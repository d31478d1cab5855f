//! Options for the linker.

use std::env;

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo describes the target in variables"
)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let value_of = |name: &str| env::var(name).unwrap_or_default();
    let features = value_of("CARGO_CFG_TARGET_FEATURE");
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    if is_static && value_of("TARGET") == "x86_64-unknown-linux-gnu" {
        // Addresses to relocate as bitmaps, which is 4 % of the program. glibc reads them since 2.36, and a static program has its
        // own. On other architectures, linkers do not have the option yet.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
