//! The secrets to mask: all of the run's own, and the latest that other hosts created.

use std::collections::{HashSet, VecDeque};

use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

use super::index::{Index, MAX_PARTS};

/// Maximum memory of foreign secrets in bytes, as estimated by the index.
const FOREIGN_LIMIT_BYTES: usize = 16 << 20;

/// The secrets, and the index of them.
#[derive(Default)]
pub(super) struct Secrets {
    index: Index,
    own: Vec<SecretString>,
    /// The SHA-256 of each in `own`.
    own_hashes: HashSet<Vec<u8>>,
    /// Oldest first, each with its memory in bytes.
    foreign: VecDeque<(SecretString, usize)>,
    foreign_bytes: usize,
    /// Number of parts of own secrets in the index.
    own_parts: usize,
}

impl Secrets {
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Adds a secret of the run.
    pub(super) fn add(&mut self, secret: &str) {
        let hash = digest(&SHA256, secret.as_bytes());
        if !self.own_hashes.insert(hash.as_ref().to_vec()) {
            return;
        }
        self.own.push(secret.into());
        self.index_own(secret);
    }

    fn index_own(&mut self, secret: &str) {
        let before = self.index.parts();
        self.index.add(secret, self.own_parts < MAX_PARTS);
        self.own_parts += self.index.parts() - before;
    }

    /// Adds a secret of another host. If the memory is used up, drops the older half.
    pub(super) fn add_foreign(&mut self, secret: &str) {
        if self.index.contains(secret) {
            return;
        }
        let bytes = self.index.add(secret, true);
        self.foreign.push_back((secret.into(), bytes));
        self.foreign_bytes += bytes;
        if self.foreign_bytes > FOREIGN_LIMIT_BYTES {
            self.drop_oldest();
        }
    }

    /// Drops the older half of the foreign secrets, by memory. The latest is kept.
    fn drop_oldest(&mut self) {
        while self.foreign_bytes > FOREIGN_LIMIT_BYTES / 2 && self.foreign.len() > 1 {
            let dropped = self.foreign.pop_front();
            self.foreign_bytes -= dropped.map_or(0, |(_, bytes)| bytes);
        }
        self.index = Index::default();
        self.own_parts = 0;
        for own in std::mem::take(&mut self.own) {
            self.index_own(own.expose_secret());
            self.own.push(own);
        }
        for (secret, _) in &self.foreign {
            self.index.add(secret.expose_secret(), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// A token without common parts with the tokens of other numbers.
    fn token(number: usize, bytes: usize) -> String {
        let block = |part: usize| {
            let hash = digest(&SHA256, format!("{number} {part}").as_bytes());
            STANDARD.encode(hash)
        };
        let mut token: String = (0..=bytes / 44).map(block).collect();
        token.truncate(bytes);
        token
    }

    #[test]
    fn foreign_secrets_use_bounded_memory_and_the_latest_are_masked() {
        let mut secrets = Secrets::default();
        secrets.add("correct-horse-battery-staple");
        for number in 0..60 {
            let token = token(number, 64 << 10);
            secrets.add_foreign(&token);
            assert!(!secrets.index().spans(&token).is_empty(), "{number}");
            assert!(secrets.foreign_bytes <= FOREIGN_LIMIT_BYTES);
            assert!(secrets.index().bytes() <= FOREIGN_LIMIT_BYTES + (1 << 20));
        }
        assert!(secrets.foreign.len() > 5);
        assert!(
            !secrets
                .index()
                .spans("correct-horse-battery-staple")
                .is_empty()
        );
    }

    #[test]
    fn foreign_secrets_do_not_displace_own_secrets() {
        let mut secrets = Secrets::default();
        for number in 0..12 {
            secrets.add_foreign(&token(number, 16 << 10));
        }
        let own = "npm_abcdEFGH0123456789ijklMNOPqrstUVWXyz";
        secrets.add(own);
        for number in 12..24 {
            secrets.add_foreign(&token(number, 16 << 10));
        }
        let line = STANDARD.encode(own);
        let line = line.get(10..40).unwrap();
        let spans = secrets.index().spans(line);
        let lengths: Vec<usize> = spans.iter().map(ExactSizeIterator::len).collect();
        assert_eq!(lengths, [30]);
    }

    #[test]
    fn the_lines_of_a_large_file_are_all_masked_in_bounded_memory() {
        let mut secrets = Secrets::default();
        let lines: Vec<String> = (0..40_000)
            .map(|line: u64| format!("{:016x}", line.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        for line in lines.iter().chain(&lines) {
            secrets.add(line);
        }
        assert_eq!(secrets.own.len(), lines.len());
        assert!(
            secrets.index().bytes() < 64 << 20,
            "{}",
            secrets.index().bytes()
        );
        for line in lines.iter().step_by(997) {
            assert_eq!(secrets.index().spans(line).first(), Some(&(0..16)));
            let encoded = STANDARD.encode(line);
            assert!(!secrets.index().spans(&encoded).is_empty());
        }
    }

    #[test]
    fn an_own_secret_is_kept_although_another_host_repeats_it() {
        let mut secrets = Secrets::default();
        let own = "correct-horse-battery-staple";
        secrets.add_foreign(own);
        secrets.add(own);
        for number in 0..60 {
            secrets.add_foreign(&token(number, 64 << 10));
        }
        assert!(!secrets.index().spans(own).is_empty());
    }
}
