//! Collects into maps without sorting first.
//!
//! `collect` sorts the entries of a `BTreeMap`. The compiler generates that sort again for every kind of iterator, 3 to 5 kB each.
//! The maps here are small, so inserting one entry after the other is as fast.

/// Iterators of the entries of a map.
pub(crate) trait IntoMap: Iterator + Sized {
    /// Collects into a map; of entries with the same key, the last one stays.
    fn into_map<M: Default + Extend<Self::Item>>(self) -> M {
        let mut map = M::default();
        map.extend(self);
        map
    }

    /// Collects into a map, up to the first error.
    fn try_into_map<M, Entry, Error>(mut self) -> Result<M, Error>
    where
        Self: Iterator<Item = Result<Entry, Error>>,
        M: Default + Extend<Entry>,
    {
        let mut map = M::default();
        self.try_for_each(|entry| {
            map.extend([entry?]);
            Ok(())
        })?;
        Ok(map)
    }
}

impl<I: Iterator> IntoMap for I {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_last_entry_of_a_key_stays() {
        let entries = [("b", 1), ("a", 2), ("b", 3)];
        let map: BTreeMap<_, _> = entries.into_iter().into_map();
        assert_eq!(map, BTreeMap::from([("a", 2), ("b", 3)]));
        let map: Result<BTreeMap<_, _>, ()> = entries.into_iter().map(Ok).try_into_map();
        assert_eq!(map, Ok(BTreeMap::from([("a", 2), ("b", 3)])));
    }

    #[test]
    fn the_first_error_ends_the_map() {
        let entries = [Ok(("a", 1)), Err(1), Err(2)];
        let map: Result<BTreeMap<_, _>, i32> = entries.into_iter().try_into_map();
        assert_eq!(map, Err(1));
    }
}
