#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "folder.rs"]
mod folder;

fuzz_target!(|bytes: &[u8]| depot_build::fuzzing::file_send(bytes, folder::here("file_send")));
