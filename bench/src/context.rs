//! The large context: many files that do not compress.

use std::fs;
use std::io;
use std::path::Path;

/// Files in the context.
pub(crate) const FILES: usize = 20_000;

/// Bytes in all of them together.
pub(crate) const BYTES: usize = 500_000_000;

/// Writes the files below `folder`, 200 to a directory.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    let mut content = vec![0; BYTES / FILES];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for file in 0..FILES {
        for bytes in content.chunks_mut(8) {
            // xorshift: fast, and nothing that a compressor finds.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.copy_from_slice(state.to_le_bytes().get(..bytes.len()).unwrap_or_default());
        }
        let directory = folder.join(format!("files/{:03}", file / 200));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("{file:05}.bin")), &content)?;
    }
    Ok(())
}

/// Bytes that a compressor makes half of, as it does of most programs; others for each `seed`.
pub(crate) fn half_noise(seed: usize, length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (seed as u64 + 1).wrapping_mul(0x0100_0000_01b3);
    let mut bytes = vec![0; length];
    for piece in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Four of eight bits are noise.
        let noise = (state & 0x0f0f_0f0f_0f0f_0f0f).to_le_bytes();
        piece.copy_from_slice(noise.get(..piece.len()).unwrap_or_default());
    }
    bytes
}
