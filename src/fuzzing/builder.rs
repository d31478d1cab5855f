//! Errors of a builder, and responses of a proxy on the way to it.

use bollard_buildkit_proto::google::protobuf::Any;
use bollard_buildkit_proto::google::rpc;
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};

use super::report::{assert_shown, options};
use super::{fixed_parts, lossy, run};
use crate::buildkit::{SolveError, is_lost, status_message};
use crate::http::tunnel::opened;
use crate::report::chain;
use crate::report::excerpt::SourceExcerpt;
use crate::report::failure::Failure;

/// Reads an error. The input contains a code, a message and details, which are used unchanged and as the JSON of each known
/// type.
pub fn solve_errors(bytes: &[u8]) {
    let [message, details] = fixed_parts(bytes);
    let code = Code::from(i32::from(message.first().copied().unwrap_or_default()) % 17);
    let message = lossy(message.get(1..).unwrap_or_default());
    let as_json = ["Source", "Vertex"].map(|kind| Any {
        type_url: format!("github.com/moby/buildkit/errdefs.{kind}+json"),
        value: details.to_vec(),
    });
    let as_json = rpc::Status {
        details: as_json.to_vec(),
        ..rpc::Status::default()
    };
    for details in [details.to_vec(), as_json.encode_to_vec()] {
        let status = Status::with_details(code, &*message, Bytes::from(details));
        let error = SolveError::from_status(&status);
        assert!(error.message.len() <= message.len());
        assert_eq!(error.message, status_message(&status));
        let _facts = (is_lost(&status), error.is_after_build());
        show(&error);
    }
}

fn show(error: &SolveError) {
    let options = options();
    assert_shown(&chain::render(error, &[&error.message], &options));
    for source in &error.sources {
        let excerpt = SourceExcerpt {
            filename: source.filename.clone(),
            data: source.data.clone(),
            ranges: source.lines.clone(),
        };
        let failure = Failure {
            step: None,
            excerpt: Some(&excerpt),
            what: "failed to build",
            error: &error.message,
            hints: &[],
        };
        assert_shown(&failure.render(&options));
    }
}

/// Reads the response of a proxy. The input contains the response and the first bytes of the builder.
pub fn proxy_responses(bytes: &[u8]) {
    let mut unread = bytes;
    if run(opened(&mut unread)).is_ok() {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        let rest = end.and_then(|end| bytes.get(end + 4..));
        assert_eq!(
            Some(unread),
            rest,
            "the bytes after the head belong to the builder"
        );
    }
}
