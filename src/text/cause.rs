//! An error and its causes on one line, for messages about failures that do not end the run.

use std::error::Error;

/// The error and its causes, separated by `: `. A cause is omitted if the text before it contains it.
#[must_use]
pub(crate) fn one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// Whether the TLS handshake behind `error` failed because the server's certificate is not trusted.
pub(crate) fn is_untrusted_server(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The `source` of an I/O error skips the error that it wraps. I/O errors can be nested.
        let mut inner = error;
        while let Some(wrapped) = inner.downcast_ref::<std::io::Error>() {
            match wrapped.get_ref() {
                Some(wrapped) => inner = wrapped,
                None => break,
            }
        }
        if let Some(rustls::Error::InvalidCertificate(_)) = inner.downcast_ref() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn causes_follow_unless_they_repeat_the_error() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the file")]
        struct Outer(#[source] io::Error);
        let inner = io::Error::other(io::Error::other("disk gone"));
        assert_eq!(one_line(&Outer(inner)), "cannot read the file: disk gone");
    }
}
