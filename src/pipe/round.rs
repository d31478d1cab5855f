//! The rounds in which an image is pushed, and the names of each.
//!
//! A solve has one exporter: certificate checks and the manifest format are the same for all names that it pushes. So
//! names that differ in these are pushed in separate rounds. The first round builds; later rounds use the builder's
//! cache. BuildKit pushes the names one by one and stops at the first failure. A failed round is repeated once, with
//! the names of the failing registry last, so that every other registry gets the image.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::buildkit::{ErrorKind, KnownCause, RegistryAction, SolveError};
use crate::ordered::IntoOrdered;
use crate::registry::credentials::canonical_host;
use crate::registry::reference::Reference;

/// Registries that are known not to accept OCI manifests.
const DOCKER_FORM_ONLY: [&str; 1] = ["registry.heroku.com"];

/// The pause before a push to a failing registry is retried. BuildKit has retried for some seconds by then.
pub(super) const PAUSE: Duration = Duration::from_secs(3);

/// The form of a machine's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The whole image, pushed under its names.
    Whole,
    /// A part of an image that is merged later: an index even for one platform, pushed by digest.
    Part,
}

/// The names that one solve pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) names: Vec<Reference>,
    /// Certificates are not checked.
    pub(super) insecure: bool,
    /// Push Docker manifests instead of OCI manifests, without attestations.
    pub(super) docker_form: bool,
    /// It has already failed once.
    is_repeated: bool,
}

/// The next action after a round has failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Run these rounds, after a pause if the registry may need one.
    Retry {
        rounds: Vec<Round>,
        pause: bool,
        why: String,
    },
    /// Report the failure: another attempt would not help.
    Fail,
}

/// The rounds for these names, in the order in which they run. Empty without names.
pub(super) fn rounds<'a>(
    names: impl IntoIterator<Item = &'a Reference>,
    insecure: &[String],
) -> VecDeque<Round> {
    let mut rounds: VecDeque<Round> = VecDeque::new();
    for name in names {
        let host = canonical_host(name.host());
        let insecure = insecure.contains(&host);
        let docker_form = DOCKER_FORM_ONLY.contains(&host.as_str());
        let fitting = rounds
            .iter_mut()
            .find(|round| round.insecure == insecure && round.docker_form == docker_form);
        match fitting {
            Some(round) => round.names.push(name.clone()),
            None => rounds.push_back(Round {
                names: vec![name.clone()],
                insecure,
                docker_form,
                is_repeated: false,
            }),
        }
    }
    rounds
}

/// The hosts among these names that are known not to accept OCI manifests, which hold annotations and attestations.
pub(super) fn docker_form_hosts<'a>(
    names: impl IntoIterator<Item = &'a Reference>,
) -> BTreeSet<&'a str> {
    let hosts = names.into_iter().map(Reference::host);
    hosts
        .filter(|host| DOCKER_FORM_ONLY.contains(&&*canonical_host(host)))
        .into_ordered()
}

impl Round {
    /// The names for the exporter: full names, or of a part each repository once and without a tag.
    pub(super) fn exported(&self, form: Form) -> Vec<String> {
        let mut seen = BTreeSet::new();
        self.names
            .iter()
            .map(|name| exported(name, form))
            .filter(|name| seen.insert(name.clone()))
            .collect()
    }

    /// The same round without `name`; `None` if no name remains.
    pub(super) fn without(mut self, name: &Reference) -> Option<Self> {
        self.names.retain(|other| other != name);
        (!self.names.is_empty()).then_some(self)
    }

    /// The next action after `error`.
    pub(super) fn after(self, error: &SolveError) -> Next {
        let ErrorKind::Registry {
            reference,
            denied,
            action,
        } = &error.kind
        else {
            return Next::Fail;
        };
        if *action == RegistryAction::Pull {
            return Next::Fail;
        }
        let host = reference.split('/').next().unwrap_or_default();
        let (theirs, others): (Vec<_>, Vec<_>) =
            self.names.into_iter().partition(|name| name.host() == host);
        if theirs.is_empty() {
            return Next::Fail;
        }
        let round = |names, docker_form, is_repeated| Round {
            names,
            insecure: self.insecure,
            docker_form,
            is_repeated,
        };
        if *action == RegistryAction::PushRefusedForm && !self.docker_form {
            let mut rounds = Vec::new();
            if !others.is_empty() {
                rounds.push(round(others, false, self.is_repeated));
            }
            rounds.push(round(theirs, true, false));
            return Next::Retry {
                rounds,
                pause: false,
                why: format!(
                    "`{host}` does not accept OCI manifests; pushing Docker manifests without attestations and annotations"
                ),
            };
        }
        // A rejection is permanent: a retry helps only the other registries.
        let is_final = *denied
            || *action == RegistryAction::PushRefusedForm
            || matches!(
                error.known_cause(&[]),
                Some(KnownCause::ImmutableTag | KnownCause::RegistryQuota)
            );
        if self.is_repeated || (is_final && others.is_empty()) {
            return Next::Fail;
        }
        let names = others.into_iter().chain(theirs).collect();
        Next::Retry {
            rounds: vec![round(names, self.docker_form, true)],
            pause: !is_final,
            why: format!(
                "the push to `{host}` failed; retrying once: {}",
                error.message
            ),
        }
    }
}

/// A name in the form that the exporter takes.
pub(super) fn exported(name: &Reference, form: Form) -> String {
    if form == Form::Part {
        format!("{}/{}", name.host(), name.repository())
    } else {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<Reference> {
        let parse = |text: &&str| Reference::parse(text).unwrap();
        texts.iter().map(parse).collect()
    }

    fn error(reference: &str, denied: bool, action: RegistryAction) -> SolveError {
        SolveError {
            message: "out of order".into(),
            kind: ErrorKind::Registry {
                reference: reference.into(),
                denied,
                action,
            },
            vertex: None,
            sources: Vec::new(),
            hint: None,
        }
    }

    fn first(texts: &[&str]) -> Round {
        rounds(&names(texts), &[]).pop_front().unwrap()
    }

    #[test]
    fn registries_that_accept_no_oci_manifests_are_known() {
        let names = names(&[
            "a.example/x:1",
            "registry.heroku.com/x/y",
            "registry.heroku.com/x/z",
        ]);
        assert_eq!(
            docker_form_hosts(&names),
            BTreeSet::from(["registry.heroku.com"])
        );
    }

    #[test]
    fn names_with_different_exporter_settings_are_pushed_in_separate_rounds() {
        let texts = [
            "a.example/x:1",
            "b.example/x:1",
            "registry.heroku.com/x/y",
            "a.example/x:2",
        ];
        let rounds = rounds(&names(&texts), &["b.example".into()]);
        let shown: Vec<_> = rounds
            .iter()
            .map(|round| {
                (
                    round.exported(Form::Whole).join(" "),
                    round.insecure,
                    round.docker_form,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("a.example/x:1 a.example/x:2".into(), false, false),
                ("b.example/x:1".into(), true, false),
                ("registry.heroku.com/x/y:latest".into(), false, true),
            ]
        );
        assert_eq!(rounds[0].exported(Form::Part), ["a.example/x"]);
    }

    #[test]
    fn a_failing_registry_is_retried_last() {
        let round = first(&["a.example/x:1", "b.example/x:1", "a.example/y:1"]);
        let error = error("a.example/x:1", false, RegistryAction::Push);
        let Next::Retry { rounds, pause, .. } = round.after(&error) else {
            panic!("no retry");
        };
        assert!(pause);
        let [again] = &rounds[..] else {
            panic!("{rounds:?}")
        };
        let order = ["b.example/x:1", "a.example/x:1", "a.example/y:1"];
        assert_eq!(again.exported(Form::Whole), order);
        assert_eq!(again.clone().after(&error), Next::Fail);
    }

    #[test]
    fn a_rejection_is_repeated_only_for_other_registries() {
        let error = error("a.example/x:1", true, RegistryAction::Push);
        assert_eq!(first(&["a.example/x:1"]).after(&error), Next::Fail);
        let next = first(&["a.example/x:1", "b.example/x:1"]).after(&error);
        assert!(matches!(next, Next::Retry { pause: false, .. }), "{next:?}");
    }

    #[test]
    fn an_immutable_tag_is_pushed_again_only_for_other_registries() {
        let mut error = error("a.example/x:1", false, RegistryAction::Push);
        error.message = "400 Bad Request: the tag is immutable".into();
        assert_eq!(first(&["a.example/x:1"]).after(&error), Next::Fail);
        let next = first(&["a.example/x:1", "b.example/x:1"]).after(&error);
        assert!(matches!(next, Next::Retry { pause: false, .. }), "{next:?}");
    }

    #[test]
    fn a_registry_without_oci_support_gets_docker_manifests() {
        let round = first(&["a.example/x:1", "b.example/x:1"]);
        let error = error("a.example/x:1", false, RegistryAction::PushRefusedForm);
        let Next::Retry { rounds, pause, .. } = round.after(&error) else {
            panic!("no retry");
        };
        let shown: Vec<_> = rounds
            .iter()
            .map(|round| (round.exported(Form::Whole).join(" "), round.docker_form))
            .collect();
        assert_eq!(
            shown,
            [
                ("b.example/x:1".into(), false),
                ("a.example/x:1".into(), true)
            ]
        );
        assert!(!pause);
        assert_eq!(rounds[1].clone().after(&error), Next::Fail);
    }

    #[test]
    fn a_base_image_that_cannot_be_pulled_causes_no_retry() {
        let error = error("a.example/base:1", false, RegistryAction::Pull);
        assert_eq!(first(&["a.example/x:1"]).after(&error), Next::Fail);
    }
}
