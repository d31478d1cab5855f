//! An error and its causes on one line, for messages about things that go on.

use std::error::Error;

/// `what failed: why: why that`. A cause that the text before it already tells is left out.
#[must_use]
pub fn one_line(error: &dyn Error) -> String {
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

/// Whether the TLS handshake behind `error` failed because of who the server is.
pub(crate) fn is_untrusted_server(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An I/O error hides what it wraps from `source`, which gives what comes after that; and one may wrap another.
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
    fn causes_follow_and_echoes_do_not() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the file")]
        struct Outer(#[source] io::Error);
        let inner = io::Error::other(io::Error::other("disk gone"));
        assert_eq!(one_line(&Outer(inner)), "cannot read the file: disk gone");
    }
}
