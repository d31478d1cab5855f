//! Times of the builder. Only differences between them are used, so the builder's clock can differ from ours.

use std::time::Duration;

use bollard_buildkit_proto::google::protobuf::Timestamp;

const NANOSECONDS: i128 = 1_000_000_000;

/// Nanoseconds since 1970 on the builder's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i128);

impl Moment {
    /// The time since `earlier`; zero if that is later.
    pub(super) fn since(self, earlier: Self) -> Duration {
        let nanoseconds = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

impl From<&Timestamp> for Moment {
    fn from(timestamp: &Timestamp) -> Self {
        Self(i128::from(timestamp.seconds) * NANOSECONDS + i128::from(timestamp.nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: i64, nanos: i32) -> Moment {
        Moment::from(&Timestamp { seconds, nanos })
    }

    #[test]
    fn differences_are_exact_and_never_negative() {
        assert_eq!(
            moment(11, 500_000_000).since(moment(10, 750_000_000)),
            Duration::from_millis(750)
        );
        assert_eq!(moment(10, 0).since(moment(11, 0)), Duration::ZERO);
    }

    #[test]
    fn extreme_times_are_accepted() {
        let longest = moment(i64::MAX, i32::MAX).since(moment(i64::MIN, i32::MIN));
        assert_eq!(longest, Duration::from_nanos(u64::MAX));
    }
}
