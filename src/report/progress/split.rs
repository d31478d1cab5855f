//! Messages that a builder has split.
//!
//! BuildKit splits a message whose logs have more than 1 MiB (`client.SolveStatus.Marshal`): the first part has everything
//! except logs, and the first MiB of logs; each further part has a single log. The ends of steps in the first part must be
//! printed after all parts. The last part is not marked.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;

use super::Source;

/// A message with this many log bytes is the first part of several. BuildKit adds some bytes for each log.
const FIRST_BYTES: usize = 1_000_000;
const LOG_BYTES: usize = 16;

/// No part follows after this many ticks without one. A tick is a quarter of a second.
const QUIET_TICKS: u8 = 2;

/// The builds whose last message can have further parts, with the remaining ticks.
#[derive(Debug, Default)]
pub(super) struct Splits(HashMap<Source, u8>);

impl Splits {
    /// Records a message.
    pub(super) fn message(&mut self, source: Source, status: &StatusResponse) {
        let bytes: usize = status
            .logs
            .iter()
            .map(|log| log.msg.len() + LOG_BYTES)
            .sum();
        let is_first = bytes >= FIRST_BYTES;
        let is_further = self.is_open(source)
            && status.logs.len() == 1
            && status.vertexes.is_empty()
            && status.statuses.is_empty();
        if is_first || is_further {
            self.0.insert(source, QUIET_TICKS);
        } else {
            self.0.remove(&source);
        }
    }

    /// Records some time without a message.
    pub(super) fn tick(&mut self) {
        self.0.retain(|_, ticks| {
            *ticks -= 1;
            *ticks > 0
        });
    }

    /// Whether the ends of this build's steps must wait.
    pub(super) fn is_open(&self, source: Source) -> bool {
        self.0.contains_key(&source)
    }

    /// Records that no message follows.
    pub(super) fn end(&mut self) {
        self.0.clear();
    }
}
