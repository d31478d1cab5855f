//! The outputs of a run, in files.
//!
//! A pipe cannot set variables of its step. It writes shell assignments, which the step can source, and `NAME=value` lines,
//! which Bitbucket passes to later steps.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::io::bounded_file;

/// The names of all outputs, except those with a digest per platform.
pub(crate) const NAMES: [&str; 10] = [
    "DEPOT_BUILD_IMAGE",
    "DEPOT_BUILD_IMAGES",
    "DEPOT_BUILD_DIGEST",
    "DEPOT_BUILD_IMAGE_DIGEST",
    "DEPOT_BUILD_IMAGE_DIGESTS",
    "DEPOT_BUILD_SAVED_IMAGE_DIGEST",
    "DEPOT_BUILD_IMAGE_ID",
    "DEPOT_BUILD_ID",
    "DEPOT_BUILD_URL",
    "DEPOT_BUILD_PROJECT_ID",
];

/// Names and values, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outputs(Vec<(String, String)>);

impl Outputs {
    /// Adds an output. Each output is one line, so control characters and Unicode line separators become spaces. No valid value
    /// contains any.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl AsRef<str>) {
        let is_separator = |character: char| {
            character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
        };
        let value = value.as_ref().replace(is_separator, " ");
        self.0.push((name.into(), value));
    }

    /// Lines for a shell: `NAME='value'`.
    #[must_use]
    pub(crate) fn for_shell(&self) -> String {
        let lines = self.0.iter();
        let lines = lines.map(|(name, value)| {
            let quoted = value.replace('\'', r"'\''");
            [name, "='", &quoted, "'\n"].concat()
        });
        lines.collect()
    }

    /// Lines for Bitbucket, `NAME=value`, for the outputs in `names`.
    #[must_use]
    pub(crate) fn for_bitbucket(&self, names: &[String]) -> String {
        let lines = self.0.iter().filter(|(name, _)| names.contains(name));
        let lines = lines.map(|(name, value)| [name, "=", value, "\n"].concat());
        lines.collect()
    }
}

/// Appends lines to an existing file in one write. Does not wait for the reader of a FIFO.
///
/// # Errors
/// The file cannot be written, or is not a regular file.
pub(crate) fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut file = bounded_file::open(path, File::options().append(true))?;
    file.write_all(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::bitbucket::whole_file::write_whole;

    #[test]
    fn a_shell_reads_the_outputs_back() {
        let mut outputs = Outputs::default();
        let odd = "a 'b' \"c\" $HOME `id` \\ #";
        outputs.add("ONE", odd);
        outputs.add("TWO", "x\ny");
        outputs.add("THREE", "a\rb\0c\u{b}d\u{85}e\u{2028}f\tg");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/outputs.env");
        write_whole(folder.path(), &path, outputs.for_shell().as_bytes()).unwrap();
        let script = format!(
            ". {}; printf '%s|%s|%s' \"$ONE\" \"$TWO\" \"$THREE\"",
            path.display()
        );
        let read = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&read.stdout),
            format!("{odd}|x y|a b c d e f g")
        );
        assert_eq!(
            outputs.for_bitbucket(&["TWO".into(), "NONE".into()]),
            "TWO=x y\n"
        );
    }

    #[test]
    fn lines_are_not_written_to_a_fifo() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("variables");
        bounded_file::make_fifo(&path);
        let error = append(&path, "A=1\n").unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
        // A file replaces it.
        write_whole(folder.path(), &path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn lines_are_appended_only_to_an_existing_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("variables");
        assert!(append(&path, "A=1\n").is_err());
        assert!(!path.exists());
        fs::write(&path, "OTHER=x\n").unwrap();
        append(&path, "A=1\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"OTHER=x\nA=1\n");
    }
}
