//! This program's own steps, such as launching a machine, as BuildKit status messages for the log and for Depot's page.

use std::time::SystemTime;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};
use uuid::Uuid;

use crate::buildkit::CANCELED;
use crate::text::digest::sha256;

/// A step that has started. Each method returns the status message for a change of its state.
#[derive(Clone, Debug)]
pub(crate) struct OwnStep {
    digest: String,
    name: String,
    started: Timestamp,
}

impl OwnStep {
    /// Starts a step, for example `[depot] launching amd64 machine`. Two steps may have the same name.
    #[must_use]
    pub(crate) fn begin(name: &str, at: SystemTime) -> Self {
        let unique = format!("{name} {}", Uuid::new_v4());
        Self {
            digest: sha256(unique.as_bytes()),
            name: name.to_owned(),
            started: timestamp(at),
        }
    }

    /// The step is running.
    #[must_use]
    pub(crate) fn running(&self) -> StatusResponse {
        self.vertex(None, "")
    }

    /// The step prints `text`, which includes its line end.
    #[must_use]
    pub(crate) fn log(&self, at: SystemTime, text: &str) -> StatusResponse {
        let log = VertexLog {
            vertex: self.digest.clone(),
            timestamp: Some(timestamp(at)),
            stream: 1,
            msg: text.as_bytes().to_vec(),
        };
        StatusResponse {
            logs: vec![log],
            ..StatusResponse::default()
        }
    }

    /// The step has succeeded.
    #[must_use]
    pub(crate) fn done(&self, at: SystemTime) -> StatusResponse {
        self.vertex(Some(at), "")
    }

    /// The step has failed.
    #[must_use]
    pub(crate) fn failed(&self, at: SystemTime, error: &str) -> StatusResponse {
        self.vertex(Some(at), error)
    }

    /// The step was stopped because the build was canceled.
    #[must_use]
    pub(crate) fn canceled(&self, at: SystemTime) -> StatusResponse {
        self.vertex(Some(at), CANCELED)
    }

    fn vertex(&self, completed: Option<SystemTime>, error: &str) -> StatusResponse {
        let vertex = Vertex {
            digest: self.digest.clone(),
            name: self.name.clone(),
            started: Some(self.started),
            completed: completed.map(timestamp),
            error: error.to_owned(),
            ..Vertex::default()
        };
        StatusResponse {
            vertexes: vec![vertex],
            ..StatusResponse::default()
        }
    }
}

/// `time` in BuildKit's form.
fn timestamp(time: SystemTime) -> Timestamp {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_of_one_name_are_two() {
        let [one, two] =
            [(); 2].map(|()| OwnStep::begin("[depot] launching", SystemTime::UNIX_EPOCH));
        let digest = |step: &OwnStep| step.running().vertexes.first().unwrap().digest.clone();
        assert_ne!(digest(&one), digest(&two));
        assert_eq!(digest(&one), digest(&one));
        assert_eq!(digest(&one).len(), "sha256:".len() + 64);
    }

    #[test]
    fn times_are_split_into_seconds_and_the_rest() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::new(1_700_000_000, 123_456_789);
        let timestamp = timestamp(time);
        assert_eq!(
            (timestamp.seconds, timestamp.nanos),
            (1_700_000_000, 123_456_789)
        );
    }
}
