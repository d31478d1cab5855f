//! Counts the files of contexts that are sent, and warns of files that Bitbucket's clone lacks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bitbucket::{CLONE_LFS, CLONE_SUBMODULES};
use crate::context::checkout::{submodules, uses_lfs};
use crate::context::{Census, Counted};
use crate::io::bounded_file;
use crate::report::progress::size;

/// A context from this size on deserves a warning, in bytes.
const LARGE_BYTES: u64 = 500_000_000;

/// The limit for `.gitattributes` and `.gitmodules`, in bytes.
const GIT_FILE_LIMIT: u64 = 256 << 10;

/// The number of paths that a warning names.
const NAMED: usize = 3;

/// The state of the clone before the build.
#[derive(Debug, Default)]
pub(super) struct Checkout {
    uses_lfs: bool,
    /// Folders of submodules that are empty. Absolute.
    empty: Vec<PathBuf>,
}

impl Checkout {
    /// Reads the clone's `.gitattributes` and `.gitmodules`, if they exist.
    pub(super) fn read(clone: &Path) -> Self {
        let attributes = bounded_file::read(&clone.join(".gitattributes"), GIT_FILE_LIMIT);
        let modules = bounded_file::read_text(&clone.join(".gitmodules"), GIT_FILE_LIMIT);
        let is_empty =
            |path: &PathBuf| std::fs::read_dir(path).is_ok_and(|mut names| names.next().is_none());
        let modules = modules.as_deref().map(submodules).unwrap_or_default();
        let modules = modules.into_iter().map(|path| clone.join(path));
        Self {
            uses_lfs: attributes.is_ok_and(|attributes| uses_lfs(&attributes)),
            empty: modules.filter(is_empty).collect(),
        }
    }

    fn census(&self, folder: &Path) -> Census {
        let empty = self.empty.iter();
        let empty = empty.filter_map(|path| path.strip_prefix(folder).ok());
        let empty = empty.map(|path| path.as_os_str().as_encoded_bytes().to_vec());
        Census::of_checkout(self.uses_lfs, empty)
    }
}

/// A directory of the clone that builders read.
#[derive(Debug)]
pub(super) struct CountedFolder {
    /// Its name in messages.
    label: String,
    /// The file whose patterns apply to it.
    ignore_file: String,
    pub(super) census: Arc<Census>,
}

impl CountedFolder {
    pub(super) fn new(
        checkout: &Checkout,
        folder: &Path,
        label: String,
        ignore_file: String,
    ) -> Self {
        Self {
            label,
            ignore_file,
            census: Arc::new(checkout.census(folder)),
        }
    }

    /// The warnings about what was sent, without markup.
    pub(super) fn warnings(&self) -> Vec<String> {
        warnings(&self.label, &self.ignore_file, &self.census.counted())
    }
}

fn warnings(label: &str, ignore_file: &str, counted: &Counted) -> Vec<String> {
    let mut warnings = Vec::new();
    if !counted.pointers.is_empty() {
        let count = counted.pointers.len();
        let files = if count == 1 { "file" } else { "files" };
        let named = named(&counted.pointers);
        warnings.push(format!(
            "{label} contains the Git LFS pointer instead of the content of {count} {files}: {named}; {CLONE_LFS}"
        ));
    }
    if !counted.empty.is_empty() {
        let named = named(&counted.empty);
        warnings.push(format!(
            "{label} contains empty submodule folders: {named}; {CLONE_SUBMODULES}"
        ));
    }
    if counted.bytes > LARGE_BYTES {
        warnings.push(large(label, ignore_file, counted));
    }
    warnings
}

fn large(label: &str, ignore_file: &str, counted: &Counted) -> String {
    let total = size(counted.bytes);
    if counted.largest.is_empty() {
        return format!(
            "{label} has {total}; list files that the build does not need in `{ignore_file}`"
        );
    }
    let folders = counted.largest.iter();
    let folders: Vec<_> = folders
        .map(|(path, bytes)| format!("`{path}` {}", size(*bytes)))
        .collect();
    let patterns = counted.largest.iter();
    let patterns: Vec<_> = patterns
        .map(|(path, _)| format!("\n  {}", pattern(path)))
        .collect();
    format!(
        "{label} has {total}; its largest folders: {}. If the build does not need them, add these lines to `{ignore_file}`:{}",
        folders.join(", "),
        patterns.concat()
    )
}

/// The line of a `.dockerignore` that excludes a folder.
fn pattern(path: &str) -> String {
    let mut pattern = String::new();
    if path.starts_with(['#', '!', ' ']) {
        // Otherwise a comment, an exception, or trimmed. The slash itself is ignored.
        pattern.push('/');
    }
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn named(paths: &[String]) -> String {
    let shown = paths.iter().take(NAMED);
    let shown: Vec<_> = shown.map(|path| format!("`{path}`")).collect();
    match paths.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(counted: &Counted) -> String {
        warnings("the context", ".dockerignore", counted).join("\n")
    }

    #[test]
    fn a_usual_context_has_no_warning() {
        let counted = Counted {
            bytes: LARGE_BYTES,
            sent_bytes: 1,
            largest: vec![("src".into(), 7)],
            ..Counted::default()
        };
        assert_eq!(all(&counted), "");
    }

    #[test]
    fn each_warning_says_what_to_write() {
        let files = ["a.bin", "b.bin", "c.bin", "d.bin"].map(String::from);
        let counted = Counted {
            bytes: 1_234_000_000,
            sent_bytes: 0,
            largest: vec![("node_modules".into(), 800_000_000), ("#a[b]".into(), 1000)],
            pointers: files.to_vec(),
            empty: vec!["libs/x".into()],
        };
        insta::assert_snapshot!(all(&counted), @r"
        the context contains the Git LFS pointer instead of the content of 4 files: `a.bin`, `b.bin`, `c.bin` and 1 more; add to the step:
          clone:
            lfs: true
        the context contains empty submodule folders: `libs/x`; Pipelines does not fetch submodules, so add to the step's `script:`, before the pipe:
          - git submodule update --init --recursive
        the context has 1.2GB; its largest folders: `node_modules` 800MB, `#a[b]` 1kB. If the build does not need them, add these lines to `.dockerignore`:
          node_modules
          /#a\[b]
");
        let flat = Counted {
            bytes: 1_234_000_000,
            ..Counted::default()
        };
        insta::assert_snapshot!(all(&flat), @"the context has 1.2GB; list files that the build does not need in `.dockerignore`");
    }

    #[test]
    fn patterns_exclude_exactly_the_folder() {
        for (path, expected) in [
            ("a/b", "a/b"),
            ("a*b?[c]\\", "a\\*b\\?\\[c]\\\\"),
            ("#a", "/#a"),
            ("!a", "/!a"),
        ] {
            assert_eq!(pattern(path), expected);
        }
    }

    #[test]
    fn empty_submodules_are_those_below_the_context() {
        let folder = tempfile::tempdir().unwrap();
        let clone = folder.path();
        for path in ["libs/empty", "app/empty", "app/full/src"] {
            fs::create_dir_all(clone.join(path)).unwrap();
        }
        let modules = ["libs/empty", "app/empty", "app/full", "app/none", "../x"];
        let modules = modules.map(|path| format!("[submodule \"{path}\"]\n\tpath = {path}\n"));
        fs::write(clone.join(".gitmodules"), modules.concat()).unwrap();
        fs::write(clone.join(".gitattributes"), "*.bin filter=lfs\n").unwrap();
        let checkout = Checkout::read(clone);
        assert!(checkout.uses_lfs);
        assert_eq!(
            checkout.empty,
            [clone.join("libs/empty"), clone.join("app/empty")]
        );
        assert!(Checkout::read(&clone.join("libs")).empty.is_empty());
    }
}
