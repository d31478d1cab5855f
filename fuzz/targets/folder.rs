//! A folder for the files of one target. It is used again by its next run.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Makes it at the first call.
pub fn here(target: &str) -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("depot-build-fuzz-{target}"));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    })
}
