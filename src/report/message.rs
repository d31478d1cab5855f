//! The program's own messages, in the form of Bitbucket's official pipes: `INFO: text`, and `✔ text` for a success.
//!
//! As in those pipes, colours are printed although the log is not a terminal, because Bitbucket's log view shows them.

/// Whether to print colours. `main` reads `NO_COLOR`, which turns them off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Print colours.
    pub colour: bool,
}

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Printed only if `DEBUG` is on.
    Debug,
    /// Progress.
    Info,
    /// A problem that does not fail the run.
    Warning,
    /// A failure.
    Error,
    /// The success of the run.
    Success,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG: ",
            Self::Info => "INFO: ",
            Self::Warning => "WARNING: ",
            Self::Error => "ERROR: ",
            Self::Success => "✔ ",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Debug => "\x1b[37m",
            Self::Info => "\x1b[36m",
            Self::Warning => "\x1b[33m",
            Self::Error => "\x1b[31m",
            Self::Success => "\x1b[32m",
        }
    }
}

impl Paint {
    /// Renders `text` as a message of `kind`, with a line end.
    #[must_use]
    pub fn message(self, kind: Kind, text: &str) -> String {
        if self.colour {
            format!("{}{}{text}\x1b[0m\n", kind.colour(), kind.prefix())
        } else {
            format!("{}{text}\n", kind.prefix())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_look_like_those_of_official_pipes() {
        let plain = Paint { colour: false };
        assert_eq!(plain.message(Kind::Warning, "text"), "WARNING: text\n");
        assert_eq!(plain.message(Kind::Success, "text"), "✔ text\n");
        assert_eq!(
            Paint { colour: true }.message(Kind::Info, "text"),
            "\x1b[36mINFO: text\x1b[0m\n"
        );
    }
}
