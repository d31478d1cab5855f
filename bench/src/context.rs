//! Contexts with many files that do not compress.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The size of a context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// The number of files.
    pub(crate) files: usize,
    /// The total size of the files in bytes.
    pub(crate) bytes: usize,
}

/// The file that changes.
const CHANGING: &str = "files/005/01000.bin";

/// Writes the files below `folder`, 200 to a directory.
pub(crate) fn write(folder: &Path, size: Size) -> io::Result<()> {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut content = vec![0; size.bytes / size.files];
    for file in 0..size.files {
        noise.fill(&mut content);
        let directory = folder.join(format!("files/{:03}", file / 200));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("{file:05}.bin")), &content)?;
    }
    Ok(())
}

/// Replaces the content of one file, with the same size; the content differs for each `state`, from 1.
pub(crate) fn change(folder: &Path, state: usize) -> io::Result<()> {
    let path = folder.join(CHANGING);
    let length = usize::try_from(fs::metadata(&path)?.len()).map_err(io::Error::other)?;
    let mut content = vec![0; length];
    Noise(state as u64).fill(&mut content);
    fs::write(path, content)
}

/// Sets the modification time of every file, as unpacking an archive or `SOURCE_DATE_EPOCH` does.
pub(crate) fn set_times(folder: &Path) -> io::Result<()> {
    set_all(folder, UNIX_EPOCH + Duration::from_hours(438_288))
}

/// Sets the modification time of every file to now, as a new clone has it.
pub(crate) fn renew_times(folder: &Path) -> io::Result<()> {
    set_all(folder, SystemTime::now())
}

fn set_all(folder: &Path, time: SystemTime) -> io::Result<()> {
    for directory in fs::read_dir(folder.join("files"))? {
        for file in fs::read_dir(directory?.path())? {
            File::open(file?.path())?.set_modified(time)?;
        }
    }
    Ok(())
}

/// xorshift: fast and incompressible.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, content: &mut [u8]) {
        for bytes in content.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.copy_from_slice(self.0.to_le_bytes().get(..bytes.len()).unwrap_or_default());
        }
    }
}

/// Bytes that compress to a half, as most programs do; different for each `seed`.
pub(crate) fn half_noise(seed: usize, length: usize) -> Vec<u8> {
    let state = 0x9e37_79b9_7f4a_7c15_u64 ^ (seed as u64 + 1).wrapping_mul(0x0100_0000_01b3);
    let mut bytes = vec![0; length];
    Noise(state).fill(&mut bytes);
    for byte in &mut bytes {
        // Four of eight bits are noise.
        *byte &= 0x0f;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_replaces_the_content_and_keeps_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let size = Size {
            files: 1_001,
            bytes: 100_100,
        };
        write(folder.path(), size).unwrap();
        let path = folder.path().join(CHANGING);
        let mut contents = vec![fs::read(&path).unwrap()];
        for state in 1..=3 {
            change(folder.path(), state).unwrap();
            let content = fs::read(&path).unwrap();
            assert_eq!(content.len(), 100);
            assert!(
                !contents.contains(&content),
                "state {state} repeats a content"
            );
            contents.push(content);
        }
    }
}
