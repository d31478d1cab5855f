//! The solves in a recording of a builder's traffic.

use std::collections::BTreeMap;

use depot_ground::traffic::Traffic;
use prost::Message;

use crate::machine::SOLVE;

/// The request for a solve.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveRequest {
    /// The exporter.
    #[prost(string, tag = "3")]
    pub exporter: String,
    /// The attributes of the exporter.
    #[prost(btree_map = "string, string", tag = "4")]
    pub exporter_attributes: BTreeMap<String, String>,
    /// The attributes of the frontend.
    #[prost(btree_map = "string, string", tag = "7")]
    pub attributes: BTreeMap<String, String>,
    /// The privileges that steps may request.
    #[prost(string, repeated, tag = "9")]
    pub entitlements: Vec<String>,
}

/// The length of a gRPC message's prefix: a byte for the compression, and four for the size.
const PREFIX_BYTES: usize = 5;

/// All requests for solves of a recording, in the order of their calls.
///
/// # Panics
/// If a recorded request is compressed, or is not complete.
#[must_use]
#[expect(clippy::expect_used, reason = "a test fails here")]
pub fn solve_requests(traffic: &Traffic) -> Vec<SolveRequest> {
    let pieces = traffic.pieces().into_iter();
    let requests = pieces.filter(|piece| piece.call == SOLVE && piece.what == "request body");
    requests
        .map(|piece| {
            assert_eq!(piece.bytes.first(), Some(&0), "a compressed request");
            let message = piece.bytes.get(PREFIX_BYTES..);
            SolveRequest::decode(message.expect("a whole message")).expect("a request for a solve")
        })
        .collect()
}
