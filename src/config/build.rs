//! The build: paths, stage, arguments, platforms.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::context_times::{self, ContextTimes};
use super::contexts::{self, NamedContext};
use super::environment::Environment;
use super::epoch;
use super::fault::Fault;
use super::findings::Findings;
use super::freshness::Freshness;
use super::git_context::{self, GitContext};
use super::logins::ProxyArgument;
use super::pairs::{self, Pair, PairFault};
use super::paths::{DockerfilePlan, FolderPlan, Places};
use super::read_boolean;
use super::secret_names::{self, Search};
use super::secrets::{Secrets, SecretsPlan};
use super::steps::StepsPlan;
use super::values::{boolean, words};
use super::warning::Warning;
use crate::platform::{Architecture, Platform};
use crate::ssh::Agents;

/// The variables of the build.
#[derive(Default, Deserialize)]
pub(super) struct BuildVariables {
    pub(super) context: Option<String>,
    pub(super) dockerfile: Option<String>,
    pub(super) target: Option<String>,
    pub(super) build_args: Option<String>,
    pub(super) build_contexts: Option<String>,
    pub(super) context_times: Option<String>,
    pub(super) platforms: Option<String>,
    pub(super) build_platform: Option<String>,
    pub(super) no_cache: Option<String>,
    pub(super) source_date_epoch: Option<String>,
}

/// The context with the Dockerfile.
#[derive(Debug, Clone)]
pub(crate) enum ContextPlan {
    /// A directory of the clone. The Dockerfile can be outside of it.
    Directory(FolderPlan, DockerfilePlan),
    /// A repository that the builder fetches, with its Dockerfile.
    Git(GitContext),
}

impl ContextPlan {
    /// The secrets in the address of a repository.
    pub(super) fn logins(&self) -> &[SecretString] {
        match self {
            Self::Directory(..) => &[],
            Self::Git(context) => context.logins(),
        }
    }
}

/// The build.
#[derive(Debug, Clone)]
pub(crate) struct BuildPlan {
    /// The context with the Dockerfile.
    pub(crate) context: ContextPlan,
    /// The stage to build; `None` for the last one.
    pub(crate) target: Option<String>,
    /// In the order of the variable, each name once.
    pub(crate) build_args: BuildArguments,
    /// Replacements of stages and images of the Dockerfile.
    pub(crate) contexts: Vec<NamedContext>,
    /// The times of the files in the contexts.
    pub(crate) times: ContextTimes,
    /// The secrets that its steps can mount.
    pub(crate) secrets: SecretsPlan,
    /// The SSH agents that its steps can mount, and that Git repositories over SSH are fetched with.
    pub(crate) ssh: Agents,
    /// The platforms, each once, in the order of the variable; empty for the platform of the builder.
    pub(crate) platforms: Vec<Platform>,
    /// The architecture of the builder for all platforms; `None` for a builder of each platform's own architecture.
    pub(crate) machine: Option<Architecture>,
    /// Whether to run every step without the cache.
    pub(crate) no_cache: bool,
    /// The stages and base images that are not taken from the cache.
    pub(crate) freshness: Freshness,
    /// The environment of its steps.
    pub(crate) steps: StepsPlan,
}

/// `CONTEXT` and `DOCKERFILE`, before they are checked.
#[derive(Default)]
pub(super) enum SourceAsWritten {
    /// Not read yet.
    #[default]
    None,
    /// The absolute paths of the context and the Dockerfile. They may not exist.
    Directory(PathBuf, PathBuf),
    /// The absolute path of the context, and the text of the Dockerfile.
    Inline(PathBuf, String),
    /// The address of a repository.
    Git(String),
}

impl SourceAsWritten {
    /// An existing directory takes precedence over an address.
    ///
    /// `inline` is the text of the Dockerfile, if it is in a definition.
    pub(super) fn read(
        variables: &BuildVariables,
        inline: Option<String>,
        places: &Places<'_>,
        findings: &mut Findings,
    ) -> Self {
        let value = variables.context.as_deref();
        let is_address =
            |value: &&str| git_context::is_address(value) && !places.has_directory(value);
        if let Some(address) = value.filter(is_address) {
            if inline.is_some() {
                let problem = "the text of a Dockerfile needs a directory as the context, not a Git repository";
                let advice = "write `dockerfile` with the path of a file in the repository";
                findings.fault(Fault::new("DOCKERFILE", problem, advice));
            }
            return Self::Git(address.to_owned());
        }
        let context = places.context_as_written(value);
        if let Some(text) = inline {
            return Self::Inline(context, text);
        }
        let dockerfile = variables.dockerfile.as_deref();
        let dockerfile = places.dockerfile_as_written(dockerfile, &context, findings);
        Self::Directory(context, dockerfile)
    }

    /// The paths next to which Depot's project files are searched.
    pub(super) fn paths<'b>(&'b self, working_directory: &'b Path) -> (&'b Path, &'b Path) {
        match self {
            Self::Directory(context, dockerfile) => (context, dockerfile),
            Self::None | Self::Inline(..) | Self::Git(_) => (working_directory, working_directory),
        }
    }

    /// Checks both. Reports all faults.
    fn checked(
        &self,
        variables: &BuildVariables,
        places: &Places<'_>,
        agents: &Agents,
        findings: &mut Findings,
    ) -> Option<ContextPlan> {
        let written = variables.dockerfile.as_deref();
        let (context, dockerfile) = match self {
            Self::Directory(context, dockerfile) => (context, dockerfile),
            Self::None => return None,
            Self::Inline(context, text) => {
                // The path of the default Dockerfile is only for the hint about a missing context.
                let context = places.context(context, &context.join("Dockerfile"), findings)?;
                let dockerfile = Places::inline_dockerfile(text);
                return Some(ContextPlan::Directory(context, dockerfile));
            }
            Self::Git(address) => {
                return git_context::read(address, written, agents, findings).map(ContextPlan::Git);
            }
        };
        let context = places.context(context, dockerfile, findings);
        // Without a context its default Dockerfile does not exist either, and the fault would be reported twice.
        let dockerfile = if context.is_none() && written.is_none() {
            None
        } else {
            places.dockerfile(dockerfile, findings)
        };
        Some(ContextPlan::Directory(context?, dockerfile?))
    }
}

impl BuildPlan {
    /// The plan with these options.
    pub(super) fn with_options(self, freshness: Freshness, steps: StepsPlan) -> Self {
        Self {
            freshness,
            steps,
            ..self
        }
    }

    /// Adds the build arguments of proxies, unless they are set.
    pub(super) fn add_proxies(&mut self, proxies: &[ProxyArgument]) {
        for (names, value) in proxies {
            self.build_args.add_missing(names, value);
        }
    }

    /// The platforms of the image, also if none is set.
    pub(super) fn built_platforms(&self) -> Vec<Platform> {
        if !self.platforms.is_empty() {
            return self.platforms.clone();
        }
        let machine = self.machine.or_else(Architecture::of_this_program);
        let own = machine.unwrap_or(Architecture::Amd64);
        Platform::parse(own.name()).into_iter().collect()
    }

    /// Whether the Dockerfile frontend creates an index also for one platform, because of a build argument of BuildKit's.
    pub(super) fn is_always_index(&self) -> bool {
        let mut arguments = self.build_args.iter();
        arguments
            .any(|(name, value)| name == "BUILDKIT_MULTI_PLATFORM" && boolean(value) == Some(true))
    }
}

/// Build arguments. Their values can be secrets, although they should not be.
#[derive(Clone, Default)]
pub(crate) struct BuildArguments {
    arguments: Vec<(String, String)>,
    /// The secrets in them, recognised by names and values.
    secrets: Vec<SecretString>,
}

impl BuildArguments {
    fn new(arguments: Vec<(String, String)>, secrets: Vec<SecretString>) -> Self {
        Self { arguments, secrets }
    }

    /// The secrets in them.
    pub(super) fn secrets(&self) -> &[SecretString] {
        &self.secrets
    }

    /// Adds an argument with each of these names, unless one of them is set.
    pub(super) fn add_missing(&mut self, names: &[&str], value: &str) {
        let mut known = self.arguments.iter().map(|(name, _)| name);
        if !known.any(|known| names.contains(&known.as_str())) {
            let added = names
                .iter()
                .map(|&name| (name.to_owned(), value.to_owned()));
            self.arguments.extend(added);
        }
    }

    /// Name and value of each, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.arguments
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for BuildArguments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_map()
            .entries(self.arguments.iter().map(|(name, _)| (name, "***")))
            .finish()
    }
}

/// Reads the plan. Reports all faults, and returns `None` if a path is invalid.
pub(super) fn read(
    variables: &BuildVariables,
    places: &Places<'_>,
    source: &SourceAsWritten,
    (arguments, secrets, ssh): (Arguments, Secrets, Agents),
    findings: &mut Findings,
) -> Option<BuildPlan> {
    let context = source.checked(variables, places, &ssh, findings);
    let target = variables
        .target
        .as_deref()
        .and_then(|value| target(value, findings));
    let mut build_args = arguments.finish(findings);
    let epoch = variables.source_date_epoch.as_deref();
    if let Some(epoch) = epoch.and_then(|value| epoch::read(value, findings)) {
        build_args.add_missing(&[epoch::VARIABLE], &epoch.to_string());
    }
    let contexts = variables
        .build_contexts
        .as_deref()
        .map(|value| contexts::read(value, places, &ssh, findings));
    let platforms = variables
        .platforms
        .as_deref()
        .map(|value| platforms(value, findings));
    let machine = variables
        .build_platform
        .as_deref()
        .and_then(|value| machine(value, findings));
    let secrets = secrets.finish(places, findings);
    let no_cache = read_boolean("NO_CACHE", variables.no_cache.as_deref(), findings);
    let times = variables.context_times.as_deref();
    let times = context_times::read(times, context.as_ref(), findings);
    Some(BuildPlan {
        context: context?,
        target,
        build_args,
        contexts: contexts.unwrap_or_default(),
        times,
        secrets,
        ssh,
        platforms: platforms.unwrap_or_default(),
        machine,
        no_cache,
        // From the variables of other topics.
        freshness: Freshness::default(),
        steps: StepsPlan::default(),
    })
}

/// Only the builder can check whether the Dockerfile has such a stage.
fn target(value: &str, findings: &mut Findings) -> Option<String> {
    let target = value.trim();
    if target.contains(|character: char| character.is_whitespace() || character.is_control()) {
        let problem = format!(
            "{} contains white space, which is not allowed in a stage name",
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
    parsed: Vec<(Pair, Search)>,
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
        let mut all = Self {
            parsed: Vec::with_capacity(pairs.len()),
            faults,
            warnings: Vec::new(),
        };
        for (index, pair) in pairs.into_iter().enumerate() {
            let (name, value) = &pair;
            let search = secret_names::search(name, value);
            for secret in &search.secrets {
                findings.keep_secret(secret);
            }
            let mut arguments = all.parsed.iter_mut();
            match arguments.find(|((earlier, _), _)| earlier == name) {
                Some(earlier) => {
                    let argument = pairs::label(index, name);
                    all.warnings
                        .push(Warning::RepeatedBuildArgument { argument });
                    *earlier = (pair, search);
                }
                None => all.parsed.push((pair, search)),
            }
        }
        all
    }

    /// Reports faults and warnings, and returns the arguments.
    fn finish(self, findings: &mut Findings) -> BuildArguments {
        for fault in self.faults {
            findings.fault(argument_fault("BUILD_ARGS", fault));
        }
        for warning in self.warnings {
            findings.warn(warning);
        }
        let mut secrets = Vec::new();
        let mut masked = Vec::new();
        let mut readable = Vec::new();
        let mut arguments = Vec::with_capacity(self.parsed.len());
        for (index, (argument, search)) in self.parsed.into_iter().enumerate() {
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

/// The fault of an entry of `variable`, whose entries are names of variables and values.
pub(super) fn argument_fault(variable: &str, fault: PairFault) -> Fault {
    let (problem, advice) = match fault {
        PairFault::NoName { entry } => (
            format!("{entry} does not start with a name and `=`"),
            "write `NAME=VALUE`, without quotes, dashes or spaces before the `=`, or a YAML mapping; \
             write a value of several lines as an entry of a list",
        ),
        PairFault::NotInEnvironment { entry } => (
            format!("{entry} has no value, and the pipe has no variable of that name"),
            "write `NAME=$NAME`, or also set NAME under the pipe's `variables:`: a pipe does not get the variables of its step",
        ),
        PairFault::NotUtf8 { entry } => (
            format!("{entry} has a value that is not valid UTF-8"),
            "write it in UTF-8",
        ),
        PairFault::Yaml { position } => {
            let place =
                position.map(|(line, column)| format!(", near line {line}, column {column}"));
            (
                format!(
                    "not a YAML mapping of names to plain values{}",
                    place.unwrap_or_default()
                ),
                "write `NAME: value` lines, or `NAME=VALUE` lines",
            )
        }
    };
    Fault::new(variable, problem, advice)
}

/// Reads each platform once.
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

/// The architecture for all platforms; `None` for each platform's own.
fn machine(value: &str, findings: &mut Findings) -> Option<Architecture> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("dynamic") {
        return None;
    }
    // `arm/v7` can be built, but is not the architecture of a builder.
    let plain = Platform::parse(value).ok().and_then(|platform| {
        let is_plain = platform.architecture == platform.builder().name();
        (is_plain && platform.variant.is_none()).then(|| platform.builder())
    });
    if plain.is_none() {
        findings.fault(Fault::new(
            "BUILD_PLATFORM",
            format!("{} is not an architecture of Depot's builders", findings.shown(value)),
            "write `linux/amd64`, `linux/arm64`, or `dynamic` for a builder of each platform's own architecture",
        ));
    }
    plain
}
