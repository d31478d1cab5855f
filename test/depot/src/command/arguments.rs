//! The command line.

use std::ffi::OsString;

use depot_ground::engine::EngineChoice;

/// The command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Serve,
    Demo,
}

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) verb: Verb,
    pub(crate) engine: EngineChoice,
}

/// Why the command line is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentsError {
    #[error("the command is missing: `serve` or `demo`")]
    NoVerb,
    #[error("unknown argument `{0}`")]
    Unknown(String),
    #[error("`--engine` requires a value")]
    NoEngine,
    #[error(
        "invalid value `{0}` for `--engine`: expected auto, own, docker=ADDRESS or buildkitd=ADDRESS"
    )]
    Engine(String),
}

impl Arguments {
    /// Parses the arguments; `None` if they request help.
    pub(crate) fn parse(
        arguments: impl Iterator<Item = OsString>,
    ) -> Result<Option<Self>, ArgumentsError> {
        let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
        let (mut verb, mut engine) = (None, EngineChoice::default());
        while let Some(argument) = arguments.next() {
            match &*argument {
                "-h" | "--help" => return Ok(None),
                "serve" => verb = Some(Verb::Serve),
                "demo" => verb = Some(Verb::Demo),
                "--engine" => {
                    let choice = arguments.next().ok_or(ArgumentsError::NoEngine)?;
                    engine = choice.parse().map_err(|_| ArgumentsError::Engine(choice))?;
                }
                _ => return Err(ArgumentsError::Unknown(argument)),
            }
        }
        verb.map(|verb| Some(Self { verb, engine }))
            .ok_or(ArgumentsError::NoVerb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, ArgumentsError> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_and_engines_are_parsed() {
        let demo = Arguments {
            verb: Verb::Demo,
            engine: EngineChoice::Own,
        };
        assert_eq!(parse("demo --engine own"), Ok(Some(demo)));
        assert_eq!(parse("serve --help"), Ok(None));
    }

    #[test]
    fn invalid_arguments_are_rejected() {
        assert_eq!(parse(""), Err(ArgumentsError::NoVerb));
        assert_eq!(
            parse("serve now"),
            Err(ArgumentsError::Unknown("now".to_owned()))
        );
        assert_eq!(parse("serve --engine"), Err(ArgumentsError::NoEngine));
        assert_eq!(
            parse("serve --engine steam"),
            Err(ArgumentsError::Engine("steam".to_owned()))
        );
    }
}
