//! Whole logs of messages like BuildKit's.

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{
    StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning,
};
use bollard_buildkit_proto::pb;

use super::*;

mod bounds;
mod lines;
mod order;
mod repeats;
mod statuses;

/// Start of the builds in these tests, in milliseconds of the builder's clock.
const EPOCH: i64 = 1_700_000_000_000;

fn time(milliseconds: i64) -> Timestamp {
    let milliseconds = EPOCH + milliseconds;
    Timestamp {
        seconds: milliseconds / 1000,
        nanos: i32::try_from(milliseconds % 1000).unwrap() * 1_000_000,
    }
}

fn vertex(digest: &str, name: &str) -> Vertex {
    Vertex {
        digest: digest.into(),
        name: name.into(),
        ..Vertex::default()
    }
}

fn running(digest: &str, name: &str, started: i64) -> Vertex {
    Vertex {
        started: Some(time(started)),
        ..vertex(digest, name)
    }
}

fn done(digest: &str, name: &str, started: i64, completed: i64) -> Vertex {
    Vertex {
        completed: Some(time(completed)),
        ..running(digest, name, started)
    }
}

fn cached(digest: &str, name: &str, at: i64) -> Vertex {
    Vertex {
        cached: true,
        ..done(digest, name, at, at)
    }
}

fn failed(digest: &str, name: &str, started: i64, completed: i64, error: &str) -> Vertex {
    Vertex {
        error: error.into(),
        ..done(digest, name, started, completed)
    }
}

fn log(digest: &str, at: i64, text: impl AsRef<[u8]>) -> VertexLog {
    VertexLog {
        vertex: digest.into(),
        timestamp: Some(time(at)),
        stream: 1,
        msg: text.as_ref().to_vec(),
    }
}

fn status(digest: &str, id: &str, current: i64, total: i64, started: i64, at: i64) -> VertexStatus {
    VertexStatus {
        id: id.into(),
        vertex: digest.into(),
        name: id.into(),
        current,
        total,
        timestamp: Some(time(at)),
        started: Some(time(started)),
        completed: None,
    }
}

fn ended(status: VertexStatus) -> VertexStatus {
    VertexStatus {
        completed: status.timestamp,
        ..status
    }
}

/// An unfinished log. The first argument of each method is the arrival time in milliseconds.
#[derive(Default)]
struct Log {
    progress: Progress,
    text: String,
    now: Duration,
}

impl Log {
    fn to(&mut self, now: u64) -> &mut Self {
        self.now = Duration::from_millis(now);
        self
    }

    fn apply(&mut self, status: &StatusResponse) -> &mut Self {
        self.progress.apply(self.now, status, &mut self.text);
        self
    }

    fn vertexes(&mut self, now: u64, vertexes: impl Into<Vec<Vertex>>) -> &mut Self {
        self.to(now).apply(&StatusResponse {
            vertexes: vertexes.into(),
            ..StatusResponse::default()
        })
    }

    fn logs(&mut self, now: u64, logs: impl Into<Vec<VertexLog>>) -> &mut Self {
        self.to(now).apply(&StatusResponse {
            logs: logs.into(),
            ..StatusResponse::default()
        })
    }

    fn statuses(&mut self, now: u64, statuses: impl Into<Vec<VertexStatus>>) -> &mut Self {
        self.to(now).apply(&StatusResponse {
            statuses: statuses.into(),
            ..StatusResponse::default()
        })
    }

    fn tick(&mut self, now: u64) -> &mut Self {
        self.to(now);
        self.progress.tick(self.now, &mut self.text);
        self
    }

    fn shown(&mut self) -> String {
        mem::take(&mut self.text)
    }

    fn finish(&mut self) -> String {
        self.progress.finish(self.now, &mut self.text);
        mem::take(&mut self.text)
    }
}
