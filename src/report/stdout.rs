//! The standard output, which has only what a user requested to be printed.

use std::io::{self, Write};

/// Prints a text. Blocks until it is written.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
