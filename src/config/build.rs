//! What to build: paths, stage, arguments, platform.

use std::path::Path;

use secrecy::SecretString;

use super::{
    contexts,
    environment::Environment,
    fault::Fault,
    findings::Findings,
    pairs::{self, Pair, PairFault},
    paths::Places,
    plan::{BuildArguments, BuildPlan},
    read_boolean,
    secret_names::{self, Search},
    values::words,
    variables::BuildVariables,
    warning::Warning,
};
use crate::platform::{Architecture, Platform};

/// `None` if a path is of no use; other faults are only told.
pub(super) fn read(
    variables: &BuildVariables,
    places: &Places<'_>,
    context: &Path,
    dockerfile: &Path,
    arguments: Arguments,
    findings: &mut Findings,
) -> Option<BuildPlan> {
    let value = variables.context.as_deref();
    let context = places.context(value, context, dockerfile, findings);
    // Without a context its default Dockerfile is missing too, which would tell the same fault twice.
    let dockerfile = if context.is_none() && variables.dockerfile.is_none() {
        None
    } else {
        places.dockerfile(dockerfile, findings)
    };
    let target = variables
        .target
        .as_deref()
        .and_then(|value| target(value, findings));
    let build_args = arguments.finish(findings);
    let contexts = variables
        .build_contexts
        .as_deref()
        .map(|value| contexts::read(value, places, findings));
    let platforms = variables
        .platforms
        .as_deref()
        .map(|value| platforms(value, findings));
    let machine = variables
        .build_platform
        .as_deref()
        .and_then(|value| machine(value, findings));
    let no_cache = read_boolean("NO_CACHE", variables.no_cache.as_deref(), findings);
    Some(BuildPlan {
        context: context?,
        dockerfile: dockerfile?,
        target,
        build_args,
        contexts: contexts.unwrap_or_default(),
        platforms: platforms.unwrap_or_default(),
        machine,
        no_cache,
    })
}

/// Whether the Dockerfile has such a stage is for the builder to say.
fn target(value: &str, findings: &mut Findings) -> Option<String> {
    let target = value.trim();
    if target.contains(|character: char| character.is_whitespace() || character.is_control()) {
        let problem = format!(
            "{} holds white space, which no stage name does",
            findings.shown(target)
        );
        findings.fault(Fault::new("TARGET", problem, "write the name of one stage"));
        return None;
    }
    Some(target.to_owned())
}

/// The value of `BUILD_ARGS`, parsed and searched for secrets once.
pub(super) struct Arguments {
    /// In their order, each name once with its last value.
    arguments: Vec<(Pair, Search)>,
    faults: Vec<PairFault>,
    warnings: Vec<Warning>,
}

impl Arguments {
    /// Parses the arguments, and masks their secrets in messages and in the log. Called before the first message.
    pub(super) fn parse(
        value: Option<&str>,
        environment: &Environment,
        findings: &mut Findings,
    ) -> Self {
        let pairs = pairs::read(value.unwrap_or_default(), |name| environment.lookup(name));
        let (pairs, faults) = match pairs {
            Ok(pairs) => (pairs, Vec::new()),
            Err(faults) => (Vec::new(), faults),
        };
        let mut parsed = Self {
            arguments: Vec::with_capacity(pairs.len()),
            faults,
            warnings: Vec::new(),
        };
        for (index, pair) in pairs.into_iter().enumerate() {
            let (name, value) = &pair;
            let search = secret_names::search(name, value);
            for secret in &search.secrets {
                findings.keep_secret(secret);
            }
            let mut arguments = parsed.arguments.iter_mut();
            match arguments.find(|((earlier, _), _)| earlier == name) {
                Some(earlier) => {
                    let argument = pairs::label(index, name);
                    parsed
                        .warnings
                        .push(Warning::RepeatedBuildArgument { argument });
                    *earlier = (pair, search);
                }
                None => parsed.arguments.push((pair, search)),
            }
        }
        parsed
    }

    /// Reports faults and warnings, and returns the arguments.
    fn finish(self, findings: &mut Findings) -> BuildArguments {
        for fault in self.faults {
            findings.fault(argument_fault(fault));
        }
        for warning in self.warnings {
            findings.warn(warning);
        }
        let mut secrets = Vec::new();
        let mut masked = Vec::new();
        let mut readable = Vec::new();
        let mut arguments = Vec::with_capacity(self.arguments.len());
        for (index, (argument, search)) in self.arguments.into_iter().enumerate() {
            let label = || pairs::label(index, &argument.0);
            if search.is_readable {
                readable.push(label());
            } else if !search.secrets.is_empty() {
                masked.push(label());
            }
            secrets.extend(search.secrets.into_iter().map(SecretString::from));
            arguments.push(argument);
        }
        if !masked.is_empty() {
            findings.warn(Warning::SecretBuildArguments { names: masked });
        }
        if !readable.is_empty() {
            findings.warn(Warning::ReadableBuildArguments { names: readable });
        }
        BuildArguments::new(arguments, secrets)
    }
}

fn argument_fault(fault: PairFault) -> Fault {
    let (problem, advice) = match fault {
        PairFault::NoName { entry } => (
            format!("{entry} does not begin with a name and `=`"),
            "write `NAME=VALUE`, without quotes, dashes or spaces before the `=`, or a YAML mapping; \
             give a value of several lines as an entry of a list",
        ),
        PairFault::NotInEnvironment { entry } => (
            format!("{entry} has no value, and the pipe has no variable of that name"),
            "write `NAME=$NAME`, or give NAME to the pipe as a variable too: the step's own do not reach it",
        ),
        PairFault::NotUtf8 { entry } => (
            format!("{entry} has a value that is not valid UTF-8"),
            "write it in UTF-8",
        ),
        PairFault::Yaml { position } => {
            let place =
                position.map(|(line, column)| format!(", seen in line {line}, column {column}"));
            (
                format!(
                    "not a YAML mapping of names to plain values{}",
                    place.unwrap_or_default()
                ),
                "write `NAME: value` lines, or `NAME=VALUE` lines",
            )
        }
    };
    Fault::new("BUILD_ARGS", problem, advice)
}

/// Each platform once.
fn platforms(value: &str, findings: &mut Findings) -> Vec<Platform> {
    let mut platforms: Vec<Platform> = Vec::new();
    for text in words(value) {
        match Platform::parse(text) {
            Ok(platform) if platforms.contains(&platform) => {}
            Ok(platform) => platforms.push(platform),
            Err(error) => {
                let advice =
                    "write `linux/amd64` or `linux/arm64`, or a variant such as `linux/arm/v7`";
                findings.fault(Fault::new(
                    "PLATFORMS",
                    format!("{} {error}", findings.shown(text)),
                    advice,
                ));
            }
        }
    }
    platforms
}

/// The machine for all platforms; `None` where each has its own.
fn machine(value: &str, findings: &mut Findings) -> Option<Architecture> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("dynamic") {
        return None;
    }
    // One machine is of one plain platform: `arm/v7` is built on one, but is none.
    let plain = Platform::parse(value).ok().and_then(|platform| {
        let is_plain = platform.architecture == platform.builder().name();
        (is_plain && platform.variant.is_none()).then(|| platform.builder())
    });
    if plain.is_none() {
        findings.fault(Fault::new(
            "BUILD_PLATFORM",
            format!("{} is not a machine of Depot", findings.shown(value)),
            "write `linux/amd64`, `linux/arm64`, or `dynamic` for the machine of each platform",
        ));
    }
    plain
}
