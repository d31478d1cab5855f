//! Certificates to trust in addition to the public authorities, for private registries, proxies and networks.

use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::findings::Findings;
use crate::http::roots::Authorities;
use crate::io::bounded_file;

const VARIABLE: &str = "SSL_CERT_FILE";

/// The file, if it also contains a private key: then it must not be in an image.
pub(super) fn key_file(value: Option<&str>, directory: &Path) -> Option<PathBuf> {
    let path = directory.join(value?.trim());
    let pem = bounded_file::read(&path, SIZE_LIMIT_BYTES).ok()?;
    memchr::memmem::find(&pem, b"PRIVATE KEY-----")
        .is_some()
        .then_some(path)
}

/// Four times the size of a system's bundle.
const SIZE_LIMIT_BYTES: u64 = 1 << 20;

/// Reads the file at the path `value`, relative to `directory`.
pub(super) fn read(value: Option<&str>, directory: &Path, findings: &mut Findings) -> Authorities {
    let Some(value) = value else {
        return Authorities::default();
    };
    let path = directory.join(value.trim());
    let problem =
        match bounded_file::read(&path, SIZE_LIMIT_BYTES).map(|pem| Authorities::parse(&pem)) {
            Ok(Ok(authorities)) if !authorities.is_empty() => return authorities,
            Ok(_) => "contains no certificate".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
    let shown = findings.shown(&path.display().to_string());
    findings.fault(Fault::new(
        VARIABLE,
        format!("{shown} {problem}"),
        "write the path of a file in the clone with PEM certificates, each starting with `-----BEGIN CERTIFICATE-----`",
    ));
    Authorities::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_read_and_other_files_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).unwrap();
            let mut findings = Findings::default();
            let authorities = read(Some(name), folder.path(), &mut findings);
            (authorities.is_empty(), findings.into_error().to_string())
        };
        let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let pem = format!("# ours\n{}", certificate.cert.pem());
        assert_eq!(outcome("good.pem", pem.as_bytes()), (false, String::new()));
        let (_, error) = outcome("none.pem", b"\xff hunter2");
        assert!(
            error.contains("contains no certificate") && !error.contains("hunter2"),
            "{error}"
        );
        let mut findings = Findings::default();
        read(Some("missing.pem"), folder.path(), &mut findings);
        assert!(
            findings
                .into_error()
                .to_string()
                .contains("missing.pem` cannot be read")
        );
        assert!(read(None, folder.path(), &mut Findings::default()).is_empty());
        // Opening it would wait for a writer.
        bounded_file::make_fifo(&folder.path().join("fifo.pem"));
        let mut findings = Findings::default();
        read(Some("fifo.pem"), folder.path(), &mut findings);
        let error = findings.into_error().to_string();
        assert!(
            error.contains("fifo.pem` cannot be read: it is not a regular file"),
            "{error}"
        );
    }
}
