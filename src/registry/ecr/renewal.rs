//! Keys and logins that expire, renewed on request.

use std::error::Error;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use crate::http::single_flight::SingleFlight;
use crate::text::cause::one_line;

/// A value is renewed when less than a tenth of its life is left, but not earlier than this before its end: the caller
/// needs some time to use it.
const MAX_RENEWAL_LEAD: Duration = Duration::from_mins(10);

/// A caller waits for the request of another one as long as that takes: its attempts are limited.
const WAIT: Duration = Duration::MAX;

/// The current value of each key. Callers at the same time share one request; keys are independent.
pub(super) struct Renewals<Key, Value>(SingleFlight<Key, Expiring<Value>>);

#[derive(Clone)]
struct Expiring<Value> {
    value: Value,
    renewal: SystemTime,
    end: SystemTime,
}

impl<Key, Value> Default for Renewals<Key, Value> {
    fn default() -> Self {
        Self(SingleFlight::default())
    }
}

impl<Key: Eq + Hash, Value: Clone> Renewals<Key, Value> {
    /// A valid value. `request` returns one and its end. If a renewal fails, the old value is used until its end.
    pub(super) async fn get<Failure: Error>(
        &self,
        key: Key,
        request: impl AsyncFnOnce() -> Result<(Value, SystemTime), Failure>,
    ) -> Result<Value, Failure> {
        let is_fresh = |current: &Expiring<Value>| SystemTime::now() < current.renewal;
        let request = async |old: Option<Expiring<Value>>| {
            let begun = SystemTime::now();
            match (request().await, old) {
                (Ok((value, end)), _) => {
                    let life = end.duration_since(begun).unwrap_or_default();
                    let lead = (life / 10).min(MAX_RENEWAL_LEAD);
                    Ok(Expiring {
                        value,
                        renewal: begun + life.saturating_sub(lead),
                        end,
                    })
                }
                (Err(error), Some(old)) if SystemTime::now() < old.end => {
                    let reason = one_line(&error);
                    tracing::warn!("cannot renew the AWS credentials, which expire soon: {reason}");
                    Ok(old)
                }
                (Err(error), _) => Err(error),
            }
        };
        let current = self.0.get(key, WAIT, is_fresh, request).await?;
        Ok(current.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::ecr::EcrError;

    #[tokio::test]
    async fn a_value_that_cannot_be_renewed_is_used_until_its_end() {
        let renewals: Renewals<u8, &str> = Renewals::default();
        let day = Duration::from_hours(24);
        let now = SystemTime::now();
        let set = async |key, value, renewal, end| {
            let expiring = Expiring {
                value,
                renewal,
                end,
            };
            let request = async |_| Ok::<_, EcrError>(expiring);
            let set = renewals.0.get(key, WAIT, |_| false, request).await;
            set.unwrap();
        };
        let fails = async || Err(EcrError::NoIdentity);
        let renews = async || Ok::<_, EcrError>(("new", now + day));

        set(1, "old", now, now + day).await;
        assert_eq!(renewals.get(1, fails).await.unwrap(), "old");
        assert_eq!(renewals.get(1, renews).await.unwrap(), "new");
        assert_eq!(renewals.get(1, fails).await.unwrap(), "new");
        set(2, "over", now - day, now).await;
        assert!(renewals.get(2, fails).await.is_err());
    }
}
