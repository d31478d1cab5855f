//! The command line.

use std::ffi::OsString;

use depot_ground::engine::EngineChoice;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Serve,
    Demo,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) verb: Verb,
    pub(crate) engine: EngineChoice,
}

/// Why nothing is done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentsError {
    #[error("say `serve` or `demo`")]
    NoVerb,
    #[error("`{0}` is not understood")]
    Unknown(String),
    #[error("`--engine` needs to be told which")]
    NoEngine,
    #[error("`{0}` is no engine")]
    Engine(String),
}

impl Arguments {
    /// `None` when help is asked for.
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
    fn verbs_and_engines_are_understood() {
        let demo = Arguments {
            verb: Verb::Demo,
            engine: EngineChoice::Own,
        };
        assert_eq!(parse("demo --engine own"), Ok(Some(demo)));
        assert_eq!(parse("serve --help"), Ok(None));
    }

    #[test]
    fn the_rest_is_refused() {
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
