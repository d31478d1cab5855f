//! Which names a solve has pushed already, read from its status.
//!
//! The exporter pushes one name after the other, and its answer tells of all or of none. What people want to know
//! after a failure is which names are there, and that stands in the status alone.

use std::collections::BTreeSet;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;

/// How the image exporter begins to tell of a name's last part, from BuildKit 0.9 on; `name@digest` follows.
const MANIFEST_WORDS: &str = "pushing manifest for ";

/// Names kept; a push has a few.
const NAMES_LIMIT: usize = 1000;

/// The names that were pushed.
#[derive(Clone, Debug, Default)]
pub struct Pushes {
    names: BTreeSet<String>,
}

impl Pushes {
    /// Takes in what the builder says.
    pub fn observe(&mut self, status: &StatusResponse) {
        for status in &status.statuses {
            if status.completed.is_none() || self.names.len() >= NAMES_LIMIT {
                continue;
            }
            // The id holds it in some versions, the name in others.
            let name = [&status.id, &status.name]
                .into_iter()
                .find_map(|text| text.strip_prefix(MANIFEST_WORDS))
                .map(|rest| rest.split('@').next().unwrap_or(rest));
            self.names.extend(name.map(str::to_owned));
        }
    }

    /// Whether no name was pushed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether the image is in the registry under this name, which is the one that the exporter was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use bollard_buildkit_proto::moby::buildkit::v1::VertexStatus;

    use super::*;

    #[test]
    fn a_name_counts_once_its_manifest_is_there() {
        let status = |id: &str, completed| StatusResponse {
            statuses: vec![VertexStatus {
                id: id.into(),
                completed,
                ..VertexStatus::default()
            }],
            ..StatusResponse::default()
        };
        let mut pushes = Pushes::default();
        let name = "localhost:5000/acme/app:1";
        let manifest = format!("pushing manifest for {name}@sha256:00");
        pushes.observe(&status(&manifest, None));
        pushes.observe(&status("pushing layers", Some(Timestamp::default())));
        assert!(!pushes.has(name));
        pushes.observe(&status(&manifest, Some(Timestamp::default())));
        assert!(pushes.has(name));
        assert!(!pushes.has("localhost:5000/acme/app:2"));
    }
}
