//! The time until each program's first output, and the sizes of the programs.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::subjects::Failure;

/// The number of starts. A start is short, and the first ones on a machine differ from the others.
const STARTS: usize = 21;

/// Sizes and start times of both programs, as text.
pub(crate) fn report(pipe: &Path, cli: &Path) -> Result<String, Failure> {
    let size = |path: &Path| -> Result<String, Failure> {
        let plain = std::fs::metadata(path)?.len();
        let compressed = Command::new("gzip")
            .arg("-c")
            .arg(path)
            .output()?
            .stdout
            .len();
        let megabytes =
            |bytes: u64| f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0;
        Ok(format!(
            "{:.1} MB ({:.1} MB compressed)",
            megabytes(plain),
            megabytes(compressed as u64)
        ))
    };
    Ok(format!(
        "Binary: {}, the CLI's {}. From the start to the first byte: {:.1} ms, the CLI {:.1} ms (medians of {STARTS}; the pipe \
         prints the missing variables, the CLI its version).",
        size(pipe)?,
        size(cli)?,
        first_byte(pipe, &[])?,
        first_byte(cli, &["--version"])?,
    ))
}

/// Milliseconds until the first output of a program, on standard output or standard error.
fn first_byte(program: &Path, words: &[&str]) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let (mut output, writer) = std::io::pipe()?;
        let begun = Instant::now();
        let mut child = Command::new(program)
            .args(words)
            .env_clear()
            .stdin(Stdio::null())
            .stderr(writer.try_clone()?)
            .stdout(writer)
            .spawn()?;
        output.read_exact(&mut [0])?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        std::io::copy(&mut output, &mut std::io::sink())?;
        child.wait()?;
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(STARTS / 2).copied().unwrap_or(f64::NAN))
}
