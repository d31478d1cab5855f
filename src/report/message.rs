//! The program's own lines, in the form of Bitbucket's official pipes: `INFO: text`, and `✔ text` when all went well.
//!
//! Colours are set although the log is no terminal, as those pipes do: Bitbucket's log view shows them.

/// Whether to set colours; `NO_COLOR` turns them off, but only `config` reads the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Set colours.
    pub colour: bool,
}

/// What kind of message a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Told only when `DEBUG` is on.
    Debug,
    /// What is going on.
    Info,
    /// Works, but should be looked at.
    Warning,
    /// Why it failed.
    Error,
    /// The last word of a run that did what it was asked to.
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
    /// `text` as a message of `kind`, with its line end.
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
