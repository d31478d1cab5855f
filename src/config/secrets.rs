//! Secrets for `RUN --mount=type=secret` and for Git repositories. A builder gets one only when it requests it by its id.

mod files;
mod git;
#[cfg(test)]
mod tests;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::environment::Environment;
use super::fault::Fault;
use super::findings::Findings;
use super::pairs::{self, Pair, PairFault};
use super::paths::Places;
use super::secret_names;
use super::values::{entries, is_set};
use crate::buildkit::session::SECRET_LIMIT_BYTES;

pub(crate) use self::files::SecretFile;

/// The variables of secrets for the build.
#[derive(Default, Deserialize)]
pub(super) struct SecretVariables {
    pub(super) secrets: Option<String>,
    pub(super) secret_files: Option<String>,
    pub(super) git_auth_token: Option<String>,
}

/// The secrets of a build, each id once.
#[derive(Clone, Default)]
pub(crate) struct SecretsPlan {
    values: Vec<(String, SecretString)>,
    files: Vec<SecretFile>,
    /// The texts in all of them that must be masked in the log.
    masked: Vec<SecretString>,
}

impl SecretsPlan {
    /// Id and value of each secret that is not a file.
    pub(crate) fn values(&self) -> &[(String, SecretString)] {
        &self.values
    }

    /// The secrets that are files.
    pub(crate) fn files(&self) -> &[SecretFile] {
        &self.files
    }

    /// Whether the plan offers a secret with this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.value(id).is_some() || self.files.iter().any(|file| file.id == id)
    }

    /// Whether the plan has a login for Git repositories.
    pub(crate) fn has_git_login(&self) -> bool {
        let ids = self.values.iter().map(|(id, _)| id);
        let mut ids = ids.chain(self.files.iter().map(|file| &file.id));
        ids.any(|id| id.starts_with("GIT_AUTH_TOKEN") || id.starts_with("GIT_AUTH_HEADER"))
    }

    fn value(&self, id: &str) -> Option<&SecretString> {
        let mut values = self.values.iter();
        values.find_map(|(known, value)| (known == id).then_some(value))
    }

    /// All texts that must be masked in the log.
    pub(super) fn secrets(&self) -> &[SecretString] {
        &self.masked
    }

    /// Masks a secret, and the secrets that are only a part of it, such as a token in a configuration file.
    fn mask(&mut self, text: &str) {
        if text.len() <= SEARCH_LIMIT_BYTES {
            let search = secret_names::search("SECRET", text);
            let parts = search.secrets.into_iter().map(SecretString::from);
            self.masked.extend(parts);
        }
        self.masked.push(text.into());
    }
}

/// Larger texts are not searched for secrets. Each of their lines is masked.
const SEARCH_LIMIT_BYTES: usize = 64 << 10;

/// Sessions are shared by builds with the same secrets.
impl PartialEq for SecretsPlan {
    fn eq(&self, other: &Self) -> bool {
        let same = |((id, value), (other_id, other)): (&(String, SecretString), _)| {
            let other: &SecretString = other;
            id == other_id && value.expose_secret() == other.expose_secret()
        };
        let others = other.values.iter().map(|(id, value)| (id, value));
        self.values.len() == other.values.len()
            && self.values.iter().zip(others).all(same)
            && self.files == other.files
    }
}

/// Contains no values.
impl fmt::Debug for SecretsPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.iter().map(|(id, _)| (id, "***"));
        let files = self.files.iter().map(|file| (&file.id, "file"));
        formatter
            .debug_map()
            .entries(values)
            .entries(files)
            .finish()
    }
}

const VARIABLE: &str = "SECRETS";

const ADVICE: &str = "write `ID=VALUE`, or `ID` alone for the variable of that name; an id contains no white space, comma or `=`; write a value of several lines as an entry of a list";

/// The variables of secrets, of which `SECRETS` is parsed. Faults are reported later, in the order of the documentation.
pub(super) struct Secrets {
    parsed: Result<Vec<Pair>, Vec<PairFault>>,
    files: Option<String>,
    token: Option<String>,
}

impl Secrets {
    /// Parses the secrets, and masks them in messages and in the log. Called before the first message.
    pub(super) fn parse(
        variables: &SecretVariables,
        environment: &Environment,
        findings: &mut Findings,
    ) -> Self {
        let value = variables.secrets.as_deref().unwrap_or_default();
        // Also if another entry is invalid.
        for (id, value) in pairs::named(value).unwrap_or_default() {
            let inherited = || environment.lookup(&id)?.to_str().map(str::to_owned);
            if let Some(value) = value.or_else(inherited) {
                findings.keep_secret_text(&value);
            }
        }
        Self {
            parsed: pairs::read_names(value, is_id, |name| environment.lookup(name)),
            files: variables.secret_files.clone(),
            token: variables.git_auth_token.clone(),
        }
    }

    /// Adds the secrets of `others` whose ids are not among these.
    pub(super) fn add_missing(&mut self, others: &Self) {
        let mut ids: Vec<String> = self
            .parsed
            .iter()
            .flatten()
            .map(|(id, _)| id.clone())
            .collect();
        let files = self.files.as_deref().unwrap_or_default();
        ids.extend(entries(files).filter_map(|entry| Some(entry.split_once('=')?.0.to_owned())));
        let is_new = |id: &str| !ids.iter().any(|known| known == id);
        match (&mut self.parsed, &others.parsed) {
            (Ok(pairs), Ok(others)) => {
                pairs.extend(others.iter().filter(|(id, _)| is_new(id)).cloned());
            }
            (parsed @ Ok(_), Err(faults)) => *parsed = Err(faults.clone()),
            (Err(_), _) => {}
        }
        let others = others.files.as_deref().unwrap_or_default();
        let others = entries(others).filter(|entry| {
            let id = entry.split_once('=').map_or(*entry, |(id, _)| id);
            is_new(id.trim())
        });
        let all: Vec<&str> = entries(files).chain(others).collect();
        let joined: String = all.iter().flat_map(|entry| ["\0", entry]).collect();
        self.files = (!joined.is_empty()).then_some(joined);
    }

    /// Reports faults, and returns the secrets.
    pub(super) fn finish(self, places: &Places<'_>, findings: &mut Findings) -> SecretsPlan {
        let pairs = self.parsed.unwrap_or_else(|faults| {
            for fault in faults {
                findings.fault(pair_fault(fault));
            }
            Vec::new()
        });
        let mut plan = SecretsPlan::default();
        for (index, (id, value)) in pairs.into_iter().enumerate() {
            let entry = pairs::label(index, &id);
            if let Some((problem, advice)) = entry_fault(&plan, &id, &value) {
                findings.fault(Fault::new(VARIABLE, format!("{entry} {problem}"), advice));
            } else {
                plan.mask(&value);
                plan.values.push((id, value.into()));
            }
        }
        if let Some(value) = &self.files {
            files::read(value, places, &mut plan, findings);
        }
        if let Some(token) = &self.token {
            git::read_token(token, &mut plan, findings);
        }
        git::add_headers(&mut plan);
        plan
    }
}

/// The secrets in a value of `SECRETS` and all faults, for tests.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn outcome(value: &str) -> (SecretsPlan, String) {
    let mut findings = Findings::default();
    let environment = Environment::read([], &mut findings);
    let variables = SecretVariables {
        secrets: Some(value.to_owned()),
        ..SecretVariables::default()
    };
    let root = std::path::Path::new("/");
    let places = Places::new(root, None, &mut findings);
    let plan = Secrets::parse(&variables, &environment, &mut findings);
    let plan = plan.finish(&places, &mut findings);
    (plan, findings.into_error().to_string())
}

/// Problem and advice of an invalid entry.
fn entry_fault(plan: &SecretsPlan, id: &str, value: &str) -> Option<(String, &'static str)> {
    let has_option = |option: &str| value.split(',').any(|part| part.starts_with(option));
    if matches!(id, "id" | "type")
        && ["id=", "src=", "source=", "env="]
            .into_iter()
            .any(has_option)
    {
        let problem = "has the form of the option `--secret`";
        let advice = "write `ID=VALUE`, or `ID` alone for the variable of that name; a file belongs in SECRET_FILES";
        return Some((problem.into(), advice));
    }
    if !value.trim().is_empty() && !is_set(value) {
        let problem = "refers to a variable that is not set in this pipeline";
        return Some((problem.into(), "set that variable, or remove the entry"));
    }
    if plan.has(id) {
        let problem = "has the same id as an earlier entry";
        return Some((problem.into(), "write each id once"));
    }
    if value.len() > SECRET_LIMIT_BYTES {
        let problem = format!("has a value of more than {SECRET_LIMIT_BYTES} bytes");
        return Some((problem, "BuildKit allows no larger secret: shorten it"));
    }
    None
}

/// Whether this text can be the id of a mount: the options of a mount are separated by commas and white space.
fn is_id(text: &str) -> bool {
    let is_other = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || matches!(character, ',' | '=' | '"' | '\'' | '[' | ']' | '{' | '}')
    };
    !text.is_empty() && !text.contains(is_other)
}

fn pair_fault(fault: PairFault) -> Fault {
    let (problem, advice) = match fault {
        PairFault::NoName { entry } => {
            (format!("{entry} does not start with an id and `=`"), ADVICE)
        }
        PairFault::NotInEnvironment { entry } => (
            format!("{entry} has no value, and the pipe has no variable of that name"),
            "write `ID=$NAME`, or also set a variable of that name under the pipe's `variables:`; write a value of several lines as an entry of a list",
        ),
        PairFault::NotUtf8 { entry } => (
            format!("{entry} has a value that is not valid UTF-8"),
            "write it to a file, and set the file in SECRET_FILES",
        ),
        PairFault::Yaml { position } => {
            let place =
                position.map(|(line, column)| format!(", near line {line}, column {column}"));
            let place = place.unwrap_or_default();
            (
                format!("not a YAML mapping of ids to plain values{place}"),
                ADVICE,
            )
        }
    };
    Fault::new(VARIABLE, problem, advice)
}
