//! A folder for the files of one target. The next run uses it again.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Creates it at the first call.
pub fn here(target: &str) -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("depot-build-fuzz-{target}"));
        std::fs::create_dir_all(&folder).expect("cannot create a folder");
        folder
    })
}
