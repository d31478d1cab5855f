//! The names that a solve has already pushed, read from its status.
//!
//! The exporter pushes the names one by one, and its response covers either all of them or none. After a failure, only the
//! status shows which names were pushed. In the status, a push that fails or is canceled ends like one that succeeds. Only the
//! next message shows which it was: the start of the next name, or the end of the exporter.

use std::collections::{BTreeSet, HashMap};

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, VertexStatus};

/// The prefix of the image exporter's message for the last part of a push, since BuildKit 0.9; `name@digest` follows.
const MANIFEST_WORDS: &str = "pushing manifest for ";

/// The limit for stored names; a push has only a few.
const NAMES_LIMIT: usize = 1000;

/// The limit for a name. Valid names are shorter: a repository has 255 bytes, a tag 128, and a host in DNS 253.
const NAME_BYTES: usize = 1024;

/// The limit for the digest of a vertex, which is shorter.
const VERTEX_BYTES: usize = 256;

/// A SHA-512 is the longest digest.
const DIGEST_MAX_BYTES: usize = 7 + 128;

/// The names that were pushed. The number and size of stored names are limited for any input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pushes {
    names: BTreeSet<String>,
    /// The last name that each vertex has ended, whether or not the push succeeded.
    unsure: HashMap<String, String>,
    /// At least one push has ended.
    is_begun: bool,
    /// Each name with the digests that were pushed to it, whether or not the push succeeded.
    attempts: BTreeSet<(String, String)>,
}

impl Pushes {
    /// Reads a status message of the builder.
    pub(crate) fn observe(&mut self, status: &StatusResponse) {
        for status in &status.statuses {
            let name = name(status);
            if let (Some(name), Some(digest)) = (name, digest(status))
                && self.attempts.len() < NAMES_LIMIT
                && name.len() <= NAME_BYTES
            {
                self.attempts.insert((name.to_owned(), digest.to_owned()));
            }
            if self.unsure.get(&status.vertex).map(String::as_str) != name {
                // The vertex has moved on to another status.
                self.names.extend(self.unsure.remove(&status.vertex));
            }
            if let Some(name) = name
                && status.completed.is_some()
                && !self.has(name)
                && name.len() <= NAME_BYTES
                && status.vertex.len() <= VERTEX_BYTES
                && self.names.len() + self.unsure.len() < NAMES_LIMIT
            {
                self.unsure.insert(status.vertex.clone(), name.to_owned());
                self.is_begun = true;
            }
        }
        let ended = status
            .vertexes
            .iter()
            .filter(|vertex| vertex.completed.is_some());
        for vertex in ended {
            let last = self.unsure.remove(&vertex.digest);
            self.names.extend(last.filter(|_| vertex.error.is_empty()));
        }
    }

    /// Whether no push has ended, whether or not it succeeded.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_begun
    }

    /// Whether a solve has tried to push this digest under this name.
    #[must_use]
    pub(crate) fn has_attempted(&self, name: &str, digest: &str) -> bool {
        self.attempts
            .contains(&(name.to_owned(), digest.to_owned()))
    }

    /// Records that the image is in the registry under this name, regardless of the builder's status.
    pub(crate) fn note(&mut self, name: String) {
        self.names.insert(name);
    }

    /// Whether the image is in the registry under this name, in the form that was passed to the exporter.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

/// The name in a status.
fn name(status: &VertexStatus) -> Option<&str> {
    let rest = manifest(status)?;
    Some(rest.split('@').next().unwrap_or(rest))
}

/// The digest in a status. SHA-512 is the longest.
fn digest(status: &VertexStatus) -> Option<&str> {
    let (_, digest) = manifest(status)?.split_once('@')?;
    (digest.len() <= DIGEST_MAX_BYTES).then_some(digest)
}

/// `name@digest`.
fn manifest(status: &VertexStatus) -> Option<&str> {
    // In the ID in some BuildKit versions, in the name in others.
    let mut texts = [&status.id, &status.name].into_iter();
    texts.find_map(|text| text.strip_prefix(MANIFEST_WORDS))
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use bollard_buildkit_proto::moby::buildkit::v1::Vertex;

    use super::*;

    const ONE: &str = "localhost:5000/acme/app:1";
    const TWO: &str = "localhost:5000/acme/app:2";

    fn manifest(name: &str) -> String {
        format!("pushing manifest for {name}@sha256:00")
    }

    fn status(id: &str, is_completed: bool) -> StatusResponse {
        StatusResponse {
            statuses: vec![VertexStatus {
                id: id.into(),
                vertex: "sha256:exporter".into(),
                completed: is_completed.then(Timestamp::default),
                ..VertexStatus::default()
            }],
            ..StatusResponse::default()
        }
    }

    fn ended(error: &str) -> StatusResponse {
        StatusResponse {
            vertexes: vec![Vertex {
                digest: "sha256:exporter".into(),
                completed: Some(Timestamp::default()),
                error: error.into(),
                ..Vertex::default()
            }],
            ..StatusResponse::default()
        }
    }

    fn pushed(statuses: &[StatusResponse]) -> (bool, bool) {
        let mut pushes = Pushes::default();
        for status in statuses {
            pushes.observe(status);
        }
        (pushes.has(ONE), pushes.has(TWO))
    }

    #[test]
    fn a_name_is_pushed_once_its_manifest_has_ended_and_a_message_follows() {
        let (one, two) = (manifest(ONE), manifest(TWO));
        let begun = [status("pushing layers", true), status(&one, false)];
        let done = [&begun[..], &[status(&one, true)]].concat();
        let next = [&done[..], &[status("pushing layers", false)]].concat();
        let both = [&next[..], &[status(&two, false), status(&two, true)]].concat();
        let and = |statuses: &[StatusResponse], last| pushed(&[statuses, &[last]].concat());
        assert_eq!(pushed(&begun), (false, false));
        assert_eq!(and(&begun, ended("")), (false, false));
        assert_eq!(pushed(&done), (false, false));
        assert_eq!(and(&done, status(&one, true)), (false, false));
        assert_eq!(and(&done, ended("")), (true, false));
        assert_eq!(and(&done, ended("context canceled")), (false, false));
        assert_eq!(pushed(&next), (true, false));
        assert_eq!(and(&next, ended("denied")), (true, false));
        assert_eq!(pushed(&both), (true, false));
        assert_eq!(and(&both, ended("denied")), (true, false));
        assert_eq!(and(&both, ended("")), (true, true));
    }

    #[test]
    fn memory_is_bounded_for_any_input() {
        let mut pushes = Pushes::default();
        let long = "x".repeat(1 << 20);
        pushes.observe(&status(&manifest(&long), true));
        let mut of_long_vertex = status(&manifest(ONE), true);
        of_long_vertex.statuses[0].vertex = long;
        pushes.observe(&of_long_vertex);
        assert!(pushes.unsure.is_empty() && pushes.names.is_empty());
        for number in 0..2 * NAMES_LIMIT {
            pushes.observe(&status(&manifest(&format!("a.example/{number}:1")), true));
        }
        assert!(pushes.names.len() + pushes.unsure.len() <= NAMES_LIMIT);
        assert!(pushes.attempts.len() <= NAMES_LIMIT);
        // A real one is not affected.
        let mut pushes = Pushes::default();
        pushes.observe(&status(&manifest(&"x".repeat(NAME_BYTES + 1)), true));
        pushes.observe(&status(&manifest(ONE), true));
        pushes.observe(&ended(""));
        assert!(pushes.has(ONE));
    }

    #[test]
    fn the_digest_of_a_push_is_known_whether_or_not_it_succeeded() {
        let mut pushes = Pushes::default();
        pushes.observe(&status(&manifest(ONE), false));
        pushes.observe(&ended("400 Bad Request"));
        assert!(pushes.has_attempted(ONE, "sha256:00") && !pushes.has(ONE));
        assert!(!pushes.has_attempted(ONE, "sha256:01") && !pushes.has_attempted(TWO, "sha256:00"));
        pushes.note(ONE.to_owned());
        assert!(pushes.has(ONE));
    }

    #[test]
    fn a_name_that_may_have_been_pushed_is_not_empty() {
        let mut pushes = Pushes::default();
        pushes.observe(&status(&manifest(ONE), false));
        assert!(pushes.is_empty());
        pushes.observe(&status(&manifest(ONE), true));
        pushes.observe(&ended("context canceled"));
        assert!(!pushes.is_empty());
    }
}
