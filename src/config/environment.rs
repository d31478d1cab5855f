//! From the process environment to the values that were given.
//!
//! This stands before `envy`, which panics on text that is not UTF-8, reads names in any case, and takes an empty text
//! for a value. What passes has exactly a known name, a value, and no array: those are one text by then, each entry
//! behind an [`ENTRY_MARK`].

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use serde::de::DeserializeOwned;

use super::{
    fault::Fault,
    findings::Findings,
    table::{DAEMON_VARIABLES, IDENTITY_VARIABLES, VARIABLES, Variable},
    values::{ENTRY_MARK, is_given},
    warning::Warning,
};
use crate::bitbucket::variables::{CLONE_DIR, CONTEXT, OIDC_TOKEN};

/// More entries than anybody writes; the bound on what a wrong count can cost.
const ARRAY_MAX_ENTRIES: usize = 1000;

/// Those of [`IDENTITY_VARIABLES`] whose value is the proof itself.
const SECRET_IDENTITIES: [&str; 2] = [OIDC_TOKEN, "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/// The environment, and the known variables that it gives values to.
pub(super) struct Environment {
    all: BTreeMap<OsString, OsString>,
    given: BTreeMap<&'static str, String>,
}

impl Environment {
    /// Sorts out `variables`; of two with one name the first counts, as it does for the C library.
    pub(super) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        findings: &mut Findings,
    ) -> Self {
        let mut all = BTreeMap::new();
        for (name, value) in variables {
            all.entry(name).or_insert(value);
        }
        let mut environment = Self {
            all,
            given: BTreeMap::new(),
        };
        let secrets = VARIABLES.iter().filter(|variable| variable.secret);
        for name in secrets
            .map(|variable| variable.name)
            .chain(SECRET_IDENTITIES)
        {
            // Before anything is said of any variable: a secret can stand in the wrong one as well.
            if let Some(Ok(secret)) = environment.text(name) {
                findings.keep_secret(secret);
            }
        }
        for variable in &VARIABLES {
            if let Some(value) = environment.value(variable, findings) {
                environment.given.insert(variable.name, value);
            }
        }
        let step = CONTEXT.into_iter().chain(IDENTITY_VARIABLES);
        for name in step.chain(DAEMON_VARIABLES) {
            // Bitbucket sets these: there is nobody to tell that one is not UTF-8.
            if let Some(Ok(value)) = environment.text(name) {
                environment.given.insert(name, value.to_owned());
            }
        }
        environment
    }

    /// One concern's variables.
    pub(super) fn variables<T: Default + DeserializeOwned>(&self, findings: &mut Findings) -> T {
        let given = self
            .given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        envy::from_iter(given).unwrap_or_else(|error| {
            let problem = format!("could not be read: {}", findings.masked(&error.to_string()));
            findings.fault(Fault::new(
                "environment",
                problem,
                "this is a fault of the pipe",
            ));
            T::default()
        })
    }

    /// Any variable of the environment, known or not.
    pub(super) fn lookup(&self, name: &str) -> Option<&OsStr> {
        self.all.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The directory of the clone, as Bitbucket names it.
    pub(super) fn clone_dir(&self) -> Option<&OsStr> {
        self.lookup(CLONE_DIR)
            .filter(|value| value.to_str().is_none_or(is_given))
    }

    /// The names of all variables that have a value, as far as they are text.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let given = self
            .all
            .iter()
            .filter(|(_, value)| value.to_str().is_none_or(is_given));
        given.filter_map(|(name, _)| name.to_str())
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
            // A password may look like a name; then it is not shown.
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
                "{} is not a number of entries up to {ARRAY_MAX_ENTRIES}",
                findings.shown(count)
            );
            let advice = format!("write {name} as a list and leave {name}_COUNT to Bitbucket");
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
            let problem = format!("missing{others}, though {name}_COUNT is {length}");
            findings.fault(Fault::new(
                first,
                problem,
                format!("write {name} as a list and leave its parts to Bitbucket"),
            ));
            return None;
        }
        // A list without entries, or with none that has a value, is as good as none.
        array.split(ENTRY_MARK).any(is_given).then_some(array)
    }

    /// The variable that `name` was to have the value of and that this pipeline does not have.
    pub(super) fn unset(&self, name: &str) -> Option<&str> {
        let text = self.lookup(name)?.to_str()?.trim();
        let other = text.strip_prefix('$')?;
        let other = match other.strip_prefix('{') {
            Some(braced) => braced.strip_suffix('}')?,
            None => other,
        };
        // Under its own name it is only `pipe.yml`'s way of asking whether there is one.
        (other != name).then_some(other)
    }

    /// A variable's text if it has one; `Err` if that is not UTF-8.
    fn text(&self, name: &str) -> Option<Result<&str, ()>> {
        match self.lookup(name)?.to_str() {
            Some(text) => is_given(text).then_some(Ok(text)),
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
    use crate::config::variables::{BuildVariables, DepotVariables, ImageVariables};

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
    fn a_broken_array_is_told() {
        for (variables, fault) in [
            (
                vec![("IMAGE_COUNT", "many")],
                "IMAGE_COUNT: `many` is not a number of entries up to 1000; ",
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
                "IMAGE_1: missing, though IMAGE_COUNT is 2; ",
            ),
            (
                vec![("IMAGE_COUNT", "1000")],
                "IMAGE_0: missing, as are 999 others, though IMAGE_COUNT is 1000; ",
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
    fn entries_without_a_count_are_warned_of() {
        let (_, findings) = read(&[("IMAGE_0", "a")]);
        assert_eq!(
            findings.into_warnings(),
            [Warning::EntryWithoutCount { variable: "IMAGE" }]
        );
    }

    #[test]
    fn what_is_not_utf8_is_a_fault_of_known_variables_only() {
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
