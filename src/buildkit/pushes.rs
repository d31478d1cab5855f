//! Which names a solve has pushed already, read from its status.
//!
//! The exporter pushes one name after the other, and its answer tells of all or of none. What people want to know
//! after a failure is which names are there, and that stands in the status alone. There a push that fails or is called off ends like one
//! that has come through. Which one it was is told by what comes after it: the beginning of the next name, or the end of the exporter.

use std::collections::{BTreeSet, HashMap};

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, VertexStatus};

/// How the image exporter begins to tell of a name's last part, from BuildKit 0.9 on; `name@digest` follows.
const MANIFEST_WORDS: &str = "pushing manifest for ";

/// Names kept; a push has a few.
const NAMES_LIMIT: usize = 1000;

/// The longest name of an image is shorter: a repository has 255 bytes, a tag 128, and a host in DNS 253.
const NAME_BYTES: usize = 1024;

/// A longer name for a vertex is nothing that BuildKit gives.
const VERTEX_BYTES: usize = 256;

/// A SHA-512 is the longest digest.
const DIGEST_MAX_BYTES: usize = 7 + 128;

/// The names that were pushed. Memory is bounded in count and in bytes, whatever is sent.
#[derive(Clone, Debug, Default)]
pub struct Pushes {
    names: BTreeSet<String>,
    /// The last name that each vertex has ended with, come through or not.
    unsure: HashMap<String, String>,
    /// One name at least has been at its end.
    is_begun: bool,
    /// Each name with the digests that were on their way to it, come through or not.
    attempts: BTreeSet<(String, String)>,
}

impl Pushes {
    /// Takes in what the builder says.
    pub fn observe(&mut self, status: &StatusResponse) {
        for status in &status.statuses {
            let name = name(status);
            if let (Some(name), Some(digest)) = (name, digest(status))
                && self.attempts.len() < NAMES_LIMIT
                && name.len() <= NAME_BYTES
            {
                self.attempts.insert((name.to_owned(), digest.to_owned()));
            }
            if self.unsure.get(&status.vertex).map(String::as_str) != name {
                // It is at something else.
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

    /// Whether no name has been told of at its end, come through or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.is_begun
    }

    /// Whether a solve has tried to push this digest under this name.
    #[must_use]
    pub fn has_attempted(&self, name: &str, digest: &str) -> bool {
        self.attempts
            .contains(&(name.to_owned(), digest.to_owned()))
    }

    /// Notes that the image is in the registry under this name, whatever the builder says.
    pub fn note(&mut self, name: String) {
        self.names.insert(name);
    }

    /// Whether the image is in the registry under this name, which is the one that the exporter was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

/// The name that a status tells of.
fn name(status: &VertexStatus) -> Option<&str> {
    let rest = manifest(status)?;
    Some(rest.split('@').next().unwrap_or(rest))
}

/// The digest that a status tells of. A SHA-512 is the longest that there is.
fn digest(status: &VertexStatus) -> Option<&str> {
    let (_, digest) = manifest(status)?.split_once('@')?;
    (digest.len() <= DIGEST_MAX_BYTES).then_some(digest)
}

/// `name@digest`.
fn manifest(status: &VertexStatus) -> Option<&str> {
    // The id holds it in some versions, the name in others.
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

    fn pushed(told: &[StatusResponse]) -> (bool, bool) {
        let mut pushes = Pushes::default();
        for status in told {
            pushes.observe(status);
        }
        (pushes.has(ONE), pushes.has(TWO))
    }

    #[test]
    fn a_name_counts_once_its_manifest_is_there_and_something_follows() {
        let (one, two) = (manifest(ONE), manifest(TWO));
        let begun = [status("pushing layers", true), status(&one, false)];
        let done = [&begun[..], &[status(&one, true)]].concat();
        let next = [&done[..], &[status("pushing layers", false)]].concat();
        let both = [&next[..], &[status(&two, false), status(&two, true)]].concat();
        let and = |told: &[StatusResponse], last| pushed(&[told, &[last]].concat());
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
    fn memory_is_bounded_whatever_is_sent() {
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
        // A real one is not affected.
        let mut pushes = Pushes::default();
        pushes.observe(&status(&manifest(&"x".repeat(NAME_BYTES + 1)), true));
        pushes.observe(&status(&manifest(ONE), true));
        pushes.observe(&ended(""));
        assert!(pushes.has(ONE));
    }

    #[test]
    fn the_digest_of_a_push_is_known_whether_or_not_it_came_through() {
        let mut pushes = Pushes::default();
        pushes.observe(&status(&manifest(ONE), false));
        pushes.observe(&ended("400 Bad Request"));
        assert!(pushes.has_attempted(ONE, "sha256:00") && !pushes.has(ONE));
        assert!(!pushes.has_attempted(ONE, "sha256:01") && !pushes.has_attempted(TWO, "sha256:00"));
        pushes.note(ONE.to_owned());
        assert!(pushes.has(ONE));
    }

    #[test]
    fn what_may_have_been_pushed_counts_as_begun() {
        let mut pushes = Pushes::default();
        pushes.observe(&status(&manifest(ONE), false));
        assert!(pushes.is_empty());
        pushes.observe(&status(&manifest(ONE), true));
        pushes.observe(&ended("context canceled"));
        assert!(!pushes.is_empty());
    }
}
