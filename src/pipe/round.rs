//! Where an image is pushed to, and in which rounds.
//!
//! A solve has one exporter, and whether certificates are checked and which form manifests have holds for all names
//! that it pushes. So names that differ in these go in rounds of their own; the first round builds, and for those after
//! it all is in the builder's cache. BuildKit pushes name after name and stops at the first that fails: a round that
//! fails is repeated once, with the names of the failing registry last, so that every other registry gets the image.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::buildkit::{ErrorKind, KnownCause, RegistryAction, SolveError};
use crate::registry::credentials::canonical_host;
use crate::registry::reference::Reference;

/// Registries that are known to take no OCI manifests.
const DOCKER_FORM_ONLY: [&str; 1] = ["registry.heroku.com"];

/// How long a registry that was out of order gets before the second try. BuildKit has tried for some seconds by then.
pub(super) const PAUSE: Duration = Duration::from_secs(3);

/// The names that one solve pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) names: Vec<Reference>,
    /// Certificates are not checked.
    pub(super) insecure: bool,
    /// Docker's own manifests in place of OCI's, without attestations.
    pub(super) docker_form: bool,
    /// It has failed before.
    is_repeated: bool,
}

/// What is to be done after a round has failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These rounds, after a pause where the registry may need one.
    Again {
        rounds: Vec<Round>,
        pause: bool,
        why: String,
    },
    /// Nothing helps.
    Fail,
}

/// The rounds for these names, in the order in which they are to be tried. None without names.
pub(super) fn rounds(names: &[Reference], insecure: &[String]) -> VecDeque<Round> {
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

impl Round {
    /// What the exporter is told: full names, or with `by_digest` each repository once and without tag.
    pub(super) fn exported(&self, by_digest: bool) -> Vec<String> {
        let mut seen = BTreeSet::new();
        self.names
            .iter()
            .map(|name| exported(name, by_digest))
            .filter(|name| seen.insert(name.clone()))
            .collect()
    }

    /// The same for the other names; `None` if there are none.
    pub(super) fn without(mut self, name: &Reference) -> Option<Self> {
        self.names.retain(|other| other != name);
        (!self.names.is_empty()).then_some(self)
    }

    /// What may help after `error`.
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
            return Next::Again {
                rounds,
                pause: false,
                why: format!(
                    "`{host}` does not take OCI manifests; it gets Docker's, without attestations"
                ),
            };
        }
        // One that says no will say no again; then only others have something to gain.
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
        Next::Again {
            rounds: vec![round(names, self.docker_form, true)],
            pause: !is_final,
            why: format!(
                "the push to `{host}` failed and is tried once more: {}",
                error.message
            ),
        }
    }
}

/// How the exporter is told a name.
pub(super) fn exported(name: &Reference, by_digest: bool) -> String {
    if by_digest {
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
    fn names_that_differ_in_what_a_solve_says_once_go_in_rounds_of_their_own() {
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
                    round.exported(false).join(" "),
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
        assert_eq!(rounds[0].exported(true), ["a.example/x"]);
    }

    #[test]
    fn a_registry_that_is_out_of_order_is_tried_again_and_last() {
        let round = first(&["a.example/x:1", "b.example/x:1", "a.example/y:1"]);
        let error = error("a.example/x:1", false, RegistryAction::Push);
        let Next::Again { rounds, pause, .. } = round.after(&error) else {
            panic!("not again");
        };
        assert!(pause);
        let [again] = &rounds[..] else {
            panic!("{rounds:?}")
        };
        let order = ["b.example/x:1", "a.example/x:1", "a.example/y:1"];
        assert_eq!(again.exported(false), order);
        assert_eq!(again.clone().after(&error), Next::Fail);
    }

    #[test]
    fn a_refusal_is_not_repeated_but_for_the_sake_of_others() {
        let error = error("a.example/x:1", true, RegistryAction::Push);
        assert_eq!(first(&["a.example/x:1"]).after(&error), Next::Fail);
        let next = first(&["a.example/x:1", "b.example/x:1"]).after(&error);
        assert!(matches!(next, Next::Again { pause: false, .. }), "{next:?}");
    }

    #[test]
    fn a_tag_that_cannot_be_moved_is_not_pushed_again_but_for_the_sake_of_others() {
        let mut error = error("a.example/x:1", false, RegistryAction::Push);
        error.message = "400 Bad Request: the tag is immutable".into();
        assert_eq!(first(&["a.example/x:1"]).after(&error), Next::Fail);
        let next = first(&["a.example/x:1", "b.example/x:1"]).after(&error);
        assert!(matches!(next, Next::Again { pause: false, .. }), "{next:?}");
    }

    #[test]
    fn a_registry_that_knows_docker_manifests_alone_gets_those() {
        let round = first(&["a.example/x:1", "b.example/x:1"]);
        let error = error("a.example/x:1", false, RegistryAction::PushRefusedForm);
        let Next::Again { rounds, pause, .. } = round.after(&error) else {
            panic!("not again");
        };
        let shown: Vec<_> = rounds
            .iter()
            .map(|round| (round.exported(false).join(" "), round.docker_form))
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
    fn a_base_image_that_cannot_be_had_is_no_matter_of_rounds() {
        let error = error("a.example/base:1", false, RegistryAction::Pull);
        assert_eq!(first(&["a.example/x:1"]).after(&error), Next::Fail);
    }
}
