//! Sets of short keys that are looked up at every byte of a log. Nearly every lookup fails, so a failed lookup must be fast.

use std::collections::HashSet;

/// Bits of the filter for each key. About one of 32 keys that are not in the set passes the filter.
const BITS_PER_KEY: usize = 32;

/// Minimum size of the filter, in words of 64 bits.
const SMALLEST_WORDS: usize = 512;

/// A set of keys behind a filter.
#[derive(Default)]
pub(super) struct Keys {
    known: HashSet<u64>,
    /// Empty, or a power of two in length.
    filter: Vec<u64>,
    /// The number of bits of a hash that the filter does not use.
    shift: u32,
}

impl Keys {
    pub(super) fn insert(&mut self, key: u64) {
        if !self.known.insert(key) {
            return;
        }
        if self.known.len() * BITS_PER_KEY > self.filter.len() * 64 {
            let words = (self.filter.len() * 2).max(SMALLEST_WORDS);
            self.filter = vec![0; words];
            self.shift = 64 - (words * 64).ilog2();
            for &key in &self.known {
                mark(&mut self.filter, self.shift, key);
            }
        } else {
            mark(&mut self.filter, self.shift, key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    #[inline]
    pub(super) fn contains(&self, key: u64) -> bool {
        let (word, bit) = place(self.shift, key);
        self.filter.get(word).is_some_and(|word| word & bit != 0) && self.known.contains(&key)
    }
}

fn mark(filter: &mut [u64], shift: u32, key: u64) {
    let (word, bit) = place(shift, key);
    if let Some(word) = filter.get_mut(word) {
        *word |= bit;
    }
}

/// The word and the bit of a key. The upper bits of the product depend on all bits of the key.
#[inline]
fn place(shift: u32, key: u64) -> (usize, u64) {
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift;
    let word = usize::try_from(hash >> 6).unwrap_or(usize::MAX);
    (word, 1 << (hash & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_its_keys_and_no_others() {
        let mut keys = Keys::default();
        assert!(!keys.contains(0));
        for key in 0..10_000_u64 {
            keys.insert(key.wrapping_mul(7_919));
        }
        for key in 0..10_000_u64 {
            assert!(keys.contains(key.wrapping_mul(7_919)));
            assert!(!keys.contains(key.wrapping_mul(7_919) + 1));
        }
    }
}
