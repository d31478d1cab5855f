//! Numbers for generated definitions.

/// A generator of numbers. One seed always gives the same sequence, so a failure can be repeated.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        let mut numbers = Self(seed);
        // The first numbers of neighbouring seeds resemble each other.
        for _ in 0..4 {
            numbers.below(2);
        }
        numbers
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = usize::try_from(self.0 >> 33).unwrap();
        high % end.max(1)
    }

    /// `true` in this share of the calls.
    pub fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    /// One of the items.
    pub fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items.get(self.below(items.len())).unwrap()
    }
}
