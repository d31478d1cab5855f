//! Messages that a builder has split.
//!
//! BuildKit makes several of one whose logs have more than 1 MiB (`client.SolveStatus.Marshal`): the first holds all that is no log
//! and the first MiB, each further one a single log. For people the ends of steps that the first tells come after them all. Nothing
//! marks the last.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;

use super::Source;

/// A message with as many log bytes is the first of several. BuildKit counts some for each log as well.
const FIRST_BYTES: usize = 1_000_000;
const LOG_BYTES: usize = 16;

/// None follows when so many looks find nothing new. They are a quarter of a second apart.
const QUIET_TICKS: u8 = 2;

/// The builds of which more messages may follow that belong to the last one.
#[derive(Debug, Default)]
pub(super) struct Splits(HashMap<Source, u8>);

impl Splits {
    /// Takes notice of a message.
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

    /// Takes notice of some time without a message.
    pub(super) fn tick(&mut self) {
        self.0.retain(|_, ticks| {
            *ticks -= 1;
            *ticks > 0
        });
    }

    /// Whether the ends of this build's steps have to wait.
    pub(super) fn is_open(&self, source: Source) -> bool {
        self.0.contains_key(&source)
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) {
        self.0.clear();
    }
}
