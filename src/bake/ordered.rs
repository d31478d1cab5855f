//! Collects into sorted maps and sets without sorting first.
//!
//! `collect` sorts the entries of a `BTreeMap` or a `BTreeSet`. The compiler generates that sort again for every kind of iterator, 3
//! to 7 kB each. The collections here are small, so inserting one entry after the other is as fast.

/// Iterators of the entries of a sorted map or set.
pub(crate) trait IntoOrdered: Iterator + Sized {
    /// Collects into a map or set; of entries with the same key, the last one stays.
    fn into_ordered<All: Default + Extend<Self::Item>>(self) -> All {
        let mut all = All::default();
        all.extend(self);
        all
    }

    /// Collects into a map or set, up to the first error.
    fn try_into_ordered<All, Entry, Error>(mut self) -> Result<All, Error>
    where
        Self: Iterator<Item = Result<Entry, Error>>,
        All: Default + Extend<Entry>,
    {
        let mut all = All::default();
        self.try_for_each(|entry| {
            all.extend([entry?]);
            Ok(())
        })?;
        Ok(all)
    }
}

impl<I: Iterator> IntoOrdered for I {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_last_entry_of_a_key_stays() {
        let entries = [("b", 1), ("a", 2), ("b", 3)];
        let map: BTreeMap<_, _> = entries.into_iter().into_ordered();
        assert_eq!(map, BTreeMap::from([("a", 2), ("b", 3)]));
        let map: Result<BTreeMap<_, _>, ()> = entries.into_iter().map(Ok).try_into_ordered();
        assert_eq!(map, Ok(BTreeMap::from([("a", 2), ("b", 3)])));
    }

    #[test]
    fn the_first_error_ends_the_map() {
        let entries = [Ok(("a", 1)), Err(1), Err(2)];
        let map: Result<BTreeMap<_, _>, i32> = entries.into_iter().try_into_ordered();
        assert_eq!(map, Err(1));
    }
}
