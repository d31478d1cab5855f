//! Tests with folders on disk.

mod follow;
mod kinds;
mod selection;
mod shielding;
mod times;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::WalkError;
use super::{Entry, Selection, Tree};

/// A folder that is removed with the value.
struct Folder {
    directory: TempDir,
}

impl Folder {
    /// Makes directories (`a/`), files (`a/b`, holding their path) and links (`l -> target`) in order.
    fn new<'spec>(specs: impl IntoIterator<Item = &'spec str>) -> Self {
        let folder = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        // Unlike the default, open to a user without permissions.
        fs::set_permissions(folder.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for spec in specs {
            if let Some((link, target)) = spec.split_once(" -> ") {
                fs::create_dir_all(folder.at(link).parent().unwrap()).unwrap();
                symlink(target, folder.at(link)).unwrap();
            } else if spec.ends_with('/') {
                fs::create_dir_all(folder.at(spec)).unwrap();
            } else {
                fs::create_dir_all(folder.at(spec).parent().unwrap()).unwrap();
                fs::write(folder.at(spec), spec).unwrap();
            }
        }
        folder
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(path)
    }

    fn tree(&self) -> Tree {
        Tree::new(self.directory.path(), &[]).unwrap()
    }
}

fn everything() -> Selection {
    Selection::default()
}

fn selection(includes: &[&str], excludes: &[&str], follow_paths: &[&str]) -> Selection {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    Selection {
        includes: owned(includes),
        excludes: owned(excludes),
        follow_paths: owned(follow_paths),
    }
}

fn entries(tree: &Tree, selection: &Selection) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut collect = |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    };
    tree.walk(selection, &mut collect).unwrap();
    entries
}

fn paths(tree: &Tree, selection: &Selection) -> Vec<String> {
    entries(tree, selection)
        .into_iter()
        .map(|entry| text(entry.path))
        .collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn error(tree: &Tree, selection: &Selection) -> WalkError {
    tree.walk(selection, &mut |_| ControlFlow::Continue(()))
        .unwrap_err()
}

/// Runs it as a user without permissions: tests often run as root, which ignores permissions.
fn without_rights<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{Uid, geteuid};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if geteuid().is_root() {
                let nobody = Uid::from_raw(65534);
                // Of this thread only.
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            run()
        });
        thread.join().unwrap()
    })
}
