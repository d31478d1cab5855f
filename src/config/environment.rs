//! From the process environment to the variables that are set.
//!
//! This is a filter for `envy`, which panics on text that is not UTF-8, ignores the case of names, and accepts an empty
//! text as a value. Its result has only known names with values. An array is one text, with an [`ENTRY_MARK`] before
//! each entry.
//!
//! All fields that `envy` fills are optional texts, because its own conversions do not fit: it accepts `""` as a boolean,
//! supports only `true` and `false`, and splits lists only at commas. The structs have no `Debug`, because they contain
//! secrets as plain text.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::fault::Fault;
use super::findings::Findings;
use super::table::{DAEMON_VARIABLES, Fallback, IDENTITY_VARIABLES, Kind, Variable, all_variables};
use super::values::{ENTRY_MARK, boolean, is_set};
use super::warning::Warning;
use crate::bitbucket::variables::{CLONE_DIR, CONTEXT, OIDC_TOKEN};
use crate::ordered::IntoOrdered;

/// The limit for an array, which also limits the work for a wrong count.
const ARRAY_MAX_ENTRIES: usize = 1000;

/// Those of [`IDENTITY_VARIABLES`] whose value is a secret.
const SECRET_IDENTITIES: [&str; 2] = [OIDC_TOKEN, "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/// The environment, and the known variables that are set in it.
pub(super) struct Environment {
    all: Arc<BTreeMap<OsString, OsString>>,
    set: BTreeMap<&'static str, String>,
}

impl Environment {
    /// Reads the known variables. If a name occurs twice, the first value is used, like in the C library.
    pub(super) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        findings: &mut Findings,
    ) -> Self {
        let mut all = BTreeMap::new();
        for (name, value) in variables {
            all.entry(name).or_insert(value);
        }
        let mut environment = Self {
            all: Arc::new(all),
            set: BTreeMap::new(),
        };
        // The names in pairs are not secret. The reader of the variable masks the values.
        let secrets =
            all_variables().filter(|variable| variable.secret && variable.kind != Kind::Pairs);
        for name in secrets
            .map(|variable| variable.name)
            .chain(SECRET_IDENTITIES)
        {
            // Before the first message: a secret can also be in the wrong variable.
            if let Some(Ok(secret)) = environment.text(name) {
                findings.keep_secret(secret);
            }
        }
        for variable in all_variables() {
            if let Some(value) = environment.value(variable, findings) {
                environment.set.insert(variable.name, value);
            }
        }
        let step = CONTEXT.into_iter().chain(IDENTITY_VARIABLES);
        for name in step.chain(DAEMON_VARIABLES) {
            // Bitbucket sets these, so a value that is not UTF-8 is not reported.
            if let Some(Ok(value)) = environment.text(name) {
                environment.set.insert(name, value.to_owned());
            }
        }
        environment
    }

    /// The variables of a target of a definition: its own, and `shared` variables of the run.
    pub(super) fn of_target(&self, shared: &[&str], own: BTreeMap<&'static str, String>) -> Self {
        let shared = self.set.iter().filter(|(name, _)| shared.contains(name));
        let mut set: BTreeMap<&'static str, String> = shared
            .map(|(name, value)| (*name, value.clone()))
            .into_ordered();
        set.extend(own);
        Self {
            all: Arc::clone(&self.all),
            set,
        }
    }

    /// The variables of one struct.
    pub(super) fn variables<T: Default + DeserializeOwned>(&self, findings: &mut Findings) -> T {
        let set = self
            .set
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        envy::from_iter(set).unwrap_or_else(|error| {
            let problem = format!("could not be read: {}", findings.masked(&error.to_string()));
            findings.fault(Fault::new(
                "environment",
                problem,
                "this is a bug in the pipe",
            ));
            T::default()
        })
    }

    /// The value of a known variable; `None` if it is not set.
    pub(super) fn value_of(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// Any variable of the environment, known or not.
    pub(super) fn lookup(&self, name: &str) -> Option<&OsStr> {
        self.all.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value of [`CLONE_DIR`].
    pub(super) fn clone_dir(&self) -> Option<&OsStr> {
        self.lookup(CLONE_DIR)
            .filter(|value| value.to_str().is_none_or(is_set))
    }

    /// Whether a variable is set to another value than its default.
    pub(super) fn is_changed(&self, variable: &Variable) -> bool {
        let Some(value) = self.set.get(variable.name) else {
            return false;
        };
        match variable.fallback {
            _ if variable.kind == Kind::Boolean => boolean(value) != Some(false),
            Fallback::Value(default) => value.trim() != default,
            Fallback::None | Fallback::SameName | Fallback::Described(_) => true,
        }
    }

    /// The names of all variables that are set, except names that are not UTF-8.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let set = self
            .all
            .iter()
            .filter(|(_, value)| value.to_str().is_none_or(is_set));
        set.filter_map(|(name, _)| name.to_str())
    }

    fn value(&self, variable: &Variable, findings: &mut Findings) -> Option<String> {
        let name = variable.name;
        let text = match self.text(name) {
            Some(Ok(text)) => Some(text.to_owned()),
            Some(Err(())) => {
                findings.fault(not_utf8(name));
                return None;
            }
            None => None,
        };
        if text.is_none()
            && let Some(unset) = self.unset(name)
        {
            // A password can look like a reference, so that of a secret variable is not shown.
            let unset = (!variable.secret).then(|| unset.to_owned());
            findings.warn(Warning::UnsetReference {
                variable: name,
                unset,
            });
        }
        let count = self.text(&format!("{name}_COUNT"));
        let has_entry = self.lookup(&format!("{name}_0")).is_some();
        match (text, count) {
            (text, None) => {
                if has_entry && text.is_none() && variable.kind.takes_array() {
                    findings.warn(Warning::EntryWithoutCount { variable: name });
                }
                text
            }
            (Some(_), Some(_)) if variable.kind.takes_array() => {
                let problem = "set as both a text and a list";
                findings.fault(Fault::new(name, problem, "write it once"));
                None
            }
            (None, Some(count)) if variable.kind.takes_array() => self.array(name, count, findings),
            (None, Some(_)) if has_entry => {
                findings.fault(Fault::new(name, "set as a list", "write one value"));
                None
            }
            (text, Some(_)) => text,
        }
    }

    fn array(
        &self,
        name: &str,
        count: Result<&str, ()>,
        findings: &mut Findings,
    ) -> Option<String> {
        let count = count.unwrap_or_default();
        let length = count
            .trim()
            .parse()
            .ok()
            .filter(|&length: &usize| length <= ARRAY_MAX_ENTRIES);
        let Some(length) = length else {
            let problem = format!(
                "{} is not a number from 0 to {ARRAY_MAX_ENTRIES}",
                findings.shown(count)
            );
            let advice = format!("write {name} as a list; Bitbucket sets {name}_COUNT");
            findings.fault(Fault::new(format!("{name}_COUNT"), problem, advice));
            return None;
        };
        let mut array = String::new();
        let mut missing = Vec::new();
        for index in 0..length {
            let entry_name = format!("{name}_{index}");
            match self.lookup(&entry_name).map(OsStr::to_str) {
                Some(Some(entry)) => {
                    array.push(ENTRY_MARK);
                    array.push_str(entry);
                }
                Some(None) => findings.fault(not_utf8(&entry_name)),
                None => missing.push(entry_name),
            }
        }
        if let Some(first) = missing.first() {
            let others = if missing.len() > 1 {
                format!(", as are {} others", missing.len() - 1)
            } else {
                String::new()
            };
            let problem = format!("missing{others}, but {name}_COUNT is {length}");
            findings.fault(Fault::new(
                first,
                problem,
                format!("write {name} as a list; Bitbucket sets its parts"),
            ));
            return None;
        }
        // A list without a set entry is treated as unset.
        array.split(ENTRY_MARK).any(is_set).then_some(array)
    }

    /// The unset variable that the value of `name` refers to.
    pub(super) fn unset(&self, name: &str) -> Option<&str> {
        let text = self.lookup(name)?.to_str()?.trim();
        let other = text.strip_prefix('$')?;
        let other = match other.strip_prefix('{') {
            Some(braced) => braced.strip_suffix('}')?,
            None => other,
        };
        // A reference to itself is the default in `pipe.yml`.
        (other != name).then_some(other)
    }

    /// Whether a list is written, but refers only to variables that are not set.
    pub(super) fn has_only_unset(&self, list: &str) -> bool {
        let is_of_list = |name: &str| {
            name.strip_prefix(list).is_some_and(|rest| {
                let index = rest.strip_prefix('_').unwrap_or(rest);
                rest.is_empty()
                    || (!index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()))
            })
        };
        let is_written = self.all.iter().any(|(name, value)| {
            let is_blank = value.to_str().is_none_or(|value| value.trim().is_empty());
            !is_blank && name.to_str().is_some_and(is_of_list)
        });
        is_written && !self.set.contains_key(list)
    }

    /// The value of a variable that is set; `Err` if it is not UTF-8.
    fn text(&self, name: &str) -> Option<Result<&str, ()>> {
        match self.lookup(name)?.to_str() {
            Some(text) => is_set(text).then_some(Ok(text)),
            None => Some(Err(())),
        }
    }
}

fn not_utf8(name: &str) -> Fault {
    Fault::new(name, "not valid UTF-8", "write it in UTF-8")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;
    use crate::config::build::BuildVariables;
    use crate::config::depot::DepotVariables;
    use crate::config::images::ImageVariables;

    fn read(variables: &[(&str, &str)]) -> (Environment, Findings) {
        let mut findings = Findings::default();
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let environment = Environment::read(variables, &mut findings);
        (environment, findings)
    }

    fn images(variables: &[(&str, &str)]) -> (Option<String>, String) {
        let (environment, mut findings) = read(variables);
        let image = environment.variables::<ImageVariables>(&mut findings).image;
        (image, findings.into_error().to_string())
    }

    #[test]
    fn only_exact_names_with_a_value_pass() {
        let (environment, mut findings) = read(&[
            ("DEPOT_TOKEN", ""),
            ("depot_token", "lower"),
            ("Depot_Token", "mixed"),
            ("DEPOT_PROJECT_ID", "$DEPOT_PROJECT_ID"),
            ("DEPOT_API_URL", " x "),
            ("DEPOT_API_URL", "second"),
            ("PATH", "/bin"),
        ]);
        let depot = environment.variables::<DepotVariables>(&mut findings);
        assert_eq!(depot.depot_token, None);
        assert_eq!(depot.depot_project_id, None);
        assert_eq!(depot.depot_api_url.as_deref(), Some(" x "));
        assert!(findings.is_faultless());
    }

    #[test]
    fn an_array_becomes_one_text_of_marked_entries() {
        let array = [
            ("IMAGE_COUNT", "3"),
            ("IMAGE_0", "a"),
            ("IMAGE_1", ""),
            ("IMAGE_2", "b c"),
            ("IMAGE_3", "beyond"),
        ];
        assert_eq!(images(&array), (Some("\0a\0\0b c".into()), String::new()));
        assert_eq!(
            images(&[("IMAGE_COUNT", "1"), ("IMAGE_0", "a")])
                .0
                .as_deref(),
            Some("\0a")
        );
        assert_eq!(images(&[("IMAGE_COUNT", "0")]), (None, String::new()));
        assert_eq!(
            images(&[("IMAGE_COUNT", "1"), ("IMAGE_0", "$UNSET")]),
            (None, String::new())
        );
        assert_eq!(
            images(&[("IMAGE", "$IMAGE"), ("IMAGE_COUNT", "1"), ("IMAGE_0", "a")])
                .0
                .as_deref(),
            Some("\0a")
        );
    }

    #[test]
    fn an_invalid_array_is_reported() {
        for (variables, fault) in [
            (
                vec![("IMAGE_COUNT", "many")],
                "IMAGE_COUNT: `many` is not a number from 0 to 1000; ",
            ),
            (
                vec![("IMAGE_COUNT", "-1")],
                "IMAGE_COUNT: `-1` is not a number",
            ),
            (
                vec![("IMAGE_COUNT", "1001")],
                "IMAGE_COUNT: `1001` is not a number",
            ),
            (
                vec![("IMAGE_COUNT", "99999999999999999999999")],
                "IMAGE_COUNT: `99999999999999999999999` is not a number",
            ),
            (
                vec![("IMAGE_COUNT", "2"), ("IMAGE_0", "a")],
                "IMAGE_1: missing, but IMAGE_COUNT is 2; ",
            ),
            (
                vec![("IMAGE_COUNT", "1000")],
                "IMAGE_0: missing, as are 999 others, but IMAGE_COUNT is 1000; ",
            ),
            (
                vec![("IMAGE", "a"), ("IMAGE_COUNT", "1"), ("IMAGE_0", "b")],
                "IMAGE: set as both a text and a list; ",
            ),
            (
                vec![("TARGET_COUNT", "1"), ("TARGET_0", "b")],
                "TARGET: set as a list; write one value",
            ),
        ] {
            let (image, error) = images(&variables);
            assert!(
                error.starts_with(fault) && error.lines().count() == 1,
                "{variables:?}: {error}"
            );
            assert_eq!(image, None);
        }
    }

    #[test]
    fn entries_without_a_count_cause_a_warning() {
        let (_, findings) = read(&[("IMAGE_0", "a")]);
        assert_eq!(
            findings.into_warnings(),
            [Warning::EntryWithoutCount { variable: "IMAGE" }]
        );
    }

    #[test]
    fn a_value_that_is_not_utf8_is_a_fault_only_of_known_variables() {
        let bad = || OsString::from_vec(vec![b'a', 0xff]);
        let variables = ["TARGET", "IMAGE_1", "OTHER", "BITBUCKET_BRANCH"]
            .map(|name| (OsString::from(name), bad()));
        let array = [("IMAGE_COUNT", "2"), ("IMAGE_0", "a")]
            .map(|(name, value)| (name.into(), value.into()));
        let mut findings = Findings::default();
        let name = (bad(), OsString::from("value"));
        let environment = Environment::read(
            variables.into_iter().chain(array).chain([name]),
            &mut findings,
        );
        assert_eq!(
            environment
                .variables::<BuildVariables>(&mut findings)
                .target,
            None
        );
        let error = findings.into_error();
        let faulty: Vec<_> = error.faults().iter().map(Fault::variable).collect();
        assert_eq!(faulty, ["IMAGE_1", "TARGET"]);
    }

    proptest! {
        #[test]
        fn no_environment_panics(
            variables in prop::collection::vec(
                ("(IMAGE|BUILD_ARGS|TARGET|image)(_COUNT|_0|_1)?", prop::collection::vec(any::<u8>(), 0..6)),
                0..8,
            ),
        ) {
            let mut findings = Findings::default();
            let variables = variables.into_iter().map(|(name, value)| (name.into(), OsString::from_vec(value)));
            let environment = Environment::read(variables, &mut findings);
            let _ = environment.variables::<ImageVariables>(&mut findings);
        }
    }
}
