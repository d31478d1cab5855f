//! Values that several callers need at the same time and that are requested once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The number of keys that are remembered. A run has a few, but builders send some of them.
const MAX_KEYS: usize = 1000;

/// The last value of each key.
#[derive(Debug)]
pub(crate) struct SingleFlight<Key, Value>(Mutex<HashMap<Key, Arc<Slot<Value>>>>);

/// Locked while its value is requested.
type Slot<Value> = tokio::sync::Mutex<Option<Value>>;

impl<Key, Value> Default for SingleFlight<Key, Value> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Key: Eq + Hash, Value: Clone> SingleFlight<Key, Value> {
    /// The last value of `key`, if it `is_fresh`; otherwise the result of `request`, which gets the stale value. A
    /// failure is not remembered.
    ///
    /// Waits at most `wait` for the request of another caller, and then makes its own, whose result is not remembered:
    /// the other request may hang. Cancel safe if `request` is.
    pub(crate) async fn get<Error>(
        &self,
        key: Key,
        wait: Duration,
        is_fresh: impl FnOnce(&Value) -> bool,
        request: impl AsyncFnOnce(Option<Value>) -> Result<Value, Error>,
    ) -> Result<Value, Error> {
        let slot = self.slot(key);
        let Ok(mut last) = tokio::time::timeout(wait, slot.lock()).await else {
            return request(None).await;
        };
        if let Some(value) = last.as_ref()
            && is_fresh(value)
        {
            return Ok(value.clone());
        }
        let value = request(last.clone()).await?;
        *last = Some(value.clone());
        Ok(value)
    }

    fn slot(&self, key: Key) -> Arc<Slot<Value>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_KEYS && !slots.contains_key(&key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::{Instant, sleep};

    use super::*;

    const WAIT: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn callers_at_the_same_time_share_one_request_and_keys_do_not() {
        let (values, requests) = (SingleFlight::default(), Cell::new(0));
        let get = async |key: &'static str| {
            let request = async |_| {
                requests.set(requests.get() + 1);
                sleep(Duration::from_secs(1)).await;
                Ok::<_, ()>(requests.get())
            };
            values.get(key, WAIT, |_| true, request).await.unwrap()
        };
        assert_eq!(tokio::join!(get("a"), get("a")), (1, 1));
        assert_eq!(get("b").await, 2);
        assert_eq!(get("a").await, 1);
    }

    #[tokio::test]
    async fn a_stale_value_is_passed_to_the_next_request_and_a_failure_keeps_it() {
        let values = SingleFlight::default();
        let get = async |result: Result<i32, &'static str>| {
            let stale = Cell::new(None);
            let request = async |last| {
                stale.set(last);
                result
            };
            let value = values.get("key", WAIT, |value| *value > 5, request).await;
            (value, stale.get())
        };
        assert_eq!(get(Err("failed")).await, (Err("failed"), None));
        assert_eq!(get(Ok(1)).await, (Ok(1), None));
        assert_eq!(get(Err("failed")).await, (Err("failed"), Some(1)));
        assert_eq!(get(Ok(6)).await, (Ok(6), Some(1)));
        assert_eq!(get(Ok(7)).await, (Ok(6), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_delays_others_only_for_their_own_time() {
        let values = SingleFlight::default();
        let begun = Instant::now();
        let hangs = async |_| {
            sleep(WAIT * 10).await;
            Err("hung")
        };
        let other = async {
            let value = values.get("key", WAIT, |_| true, async |_| Ok::<_, &str>(2));
            (value.await, begun.elapsed())
        };
        let hanging = values.get("key", WAIT, |_| true, hangs);
        let (hanging, other) = tokio::join!(hanging, other);
        assert_eq!((hanging, other), (Err("hung"), (Ok(2), WAIT)));
    }

    #[tokio::test]
    async fn the_number_of_keys_is_bounded() {
        let values = SingleFlight::default();
        for key in 0..3 * MAX_KEYS {
            let value = values.get(key, WAIT, |_| true, async |_| Ok::<_, ()>(key));
            assert_eq!(value.await, Ok(key));
            assert!(values.0.lock().unwrap().len() <= MAX_KEYS);
        }
    }
}
