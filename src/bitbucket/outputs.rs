//! What a pipe can tell the rest of its pipeline: files.
//!
//! A pipe cannot set variables of its step. It writes lines of shell that the step sources, and lines of another form that
//! Bitbucket hands to later steps. A file is written whole or not at all: beside its place first, and then renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use uuid::Uuid;

/// What a run may tell, beside a digest for each platform.
pub const NAMES: [&str; 9] = [
    "DEPOT_BUILD_IMAGE",
    "DEPOT_BUILD_IMAGES",
    "DEPOT_BUILD_DIGEST",
    "DEPOT_BUILD_IMAGE_DIGEST",
    "DEPOT_BUILD_IMAGE_DIGESTS",
    "DEPOT_BUILD_IMAGE_ID",
    "DEPOT_BUILD_ID",
    "DEPOT_BUILD_URL",
    "DEPOT_BUILD_PROJECT_ID",
];

/// Names and values, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs(Vec<(String, String)>);

impl Outputs {
    /// Adds one. Control characters and everything that some reader takes for the end of a line become spaces, although no
    /// value has them: a line is one output.
    pub fn add(&mut self, name: impl Into<String>, value: impl AsRef<str>) {
        let ends_line = |character: char| {
            character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
        };
        let value = value.as_ref().replace(ends_line, " ");
        self.0.push((name.into(), value));
    }

    /// Lines for a shell: `NAME='value'`.
    #[must_use]
    pub fn for_shell(&self) -> String {
        let lines = self.0.iter();
        let lines = lines.map(|(name, value)| {
            let quoted = value.replace('\'', r"'\''");
            [name, "='", &quoted, "'\n"].concat()
        });
        lines.collect()
    }

    /// Lines for Bitbucket, of those that are asked for: `NAME=value`.
    #[must_use]
    pub fn for_bitbucket(&self, names: &[String]) -> String {
        let lines = self.0.iter().filter(|(name, _)| names.contains(name));
        let lines = lines.map(|(name, value)| [name, "=", value, "\n"].concat());
        lines.collect()
    }
}

/// Writes a file whole or not at all, and the folders on the way to it.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    // Not made of the file's own name, which may be as long as a name can be.
    let beside = folder.join(format!(".depot-build.{}", Uuid::new_v4().simple()));
    let written = write_new(&beside, content).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What was begun is of no use to anybody; that it cannot be removed adds nothing to the error.
        let _gone = fs::remove_file(&beside);
    }
    written
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    // Never through a link that somebody has laid there.
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Adds lines to a file that exists, in one piece. Does not wait for the reader of a FIFO.
///
/// # Errors
/// The file cannot be written, or is not a regular file.
pub fn append(path: &Path, lines: &str) -> io::Result<()> {
    let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    if !path.metadata()?.is_file() {
        return Err(not_regular());
    }
    // Something else may take its place in between.
    let mut file = File::options()
        .append(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(not_regular());
    }
    file.write_all(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_told() {
        let mut outputs = Outputs::default();
        let odd = "a 'b' \"c\" $HOME `id` \\ #";
        outputs.add("ONE", odd);
        outputs.add("TWO", "x\ny");
        outputs.add("THREE", "a\rb\0c\u{b}d\u{85}e\u{2028}f\tg");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/outputs.env");
        write_whole(&path, outputs.for_shell().as_bytes()).unwrap();
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
    fn a_name_may_be_as_long_as_the_file_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(255));
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        symlink(&elsewhere, &path).unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&elsewhere).unwrap(), b"kept");
        // A folder in its place stays.
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("x")).unwrap();
        assert!(write_whole(&taken, b"new").is_err());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn lines_are_not_written_to_a_fifo() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("variables");
        crate::bounded_file::make_fifo(&path);
        let error = append(&path, "A=1\n").unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
        // A file replaces it.
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn lines_are_added_only_to_a_file_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("variables");
        assert!(append(&path, "A=1\n").is_err());
        assert!(!path.exists());
        fs::write(&path, "OTHER=x\n").unwrap();
        append(&path, "A=1\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"OTHER=x\nA=1\n");
    }
}
