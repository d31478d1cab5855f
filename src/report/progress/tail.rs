//! The last lines of a step's output, which are printed again if the step fails.

use std::collections::VecDeque;

use super::super::mask::Masker;

/// Lines kept.
pub(super) const LINES: usize = 40;

/// Bytes kept of one line, from its beginning.
const LINE_BYTES: usize = 2048;

/// The last lines, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// Adds a line. Drops the oldest lines while more than `limit` bytes are held.
    pub(super) fn push(&mut self, line: &str, limit: usize, masker: &Masker) {
        let longest = LINE_BYTES.min(limit);
        let line = if line.len() <= longest {
            line.to_owned()
        } else {
            // Masked before the cut: half a secret could not be recognized.
            let line = masker.mask(line.to_owned());
            let start = line
                .get(..line.floor_char_boundary(longest))
                .unwrap_or_default();
            let end = if start.contains('\x1b') {
                "…\x1b[0m"
            } else {
                "…"
            };
            [start, end].concat()
        };
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES || (self.bytes > limit && self.lines.len() > 1) {
            self.bytes -= self.lines.pop_front().map_or(0, |oldest| oldest.len());
        }
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        self.bytes = 0;
        std::mem::take(&mut self.lines).into()
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lines.iter().map(String::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut tail = Tail::default();
        for line in 0..100 {
            tail.push(&line.to_string(), 32 * 1024, &Masker::default());
        }
        let lines = tail.take();
        assert_eq!(
            (
                lines.len(),
                lines.first().unwrap().as_str(),
                lines.last().unwrap().as_str()
            ),
            (LINES, "60", "99")
        );
        assert_eq!(tail.take(), Vec::<String>::new());
    }

    #[test]
    fn bytes_are_bounded_but_the_last_line_is_kept() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push(&"ä".repeat(1 << 20), 5000, &Masker::default());
            assert!(tail.held() <= 2 * 5000, "held {}", tail.held());
        }
        tail.push("\x1b[31mred and much too long", 10, &Masker::default());
        assert_eq!(tail.take(), ["\x1b[31mred a…\x1b[0m"]);
    }

    #[test]
    fn a_cut_reveals_no_part_of_a_secret() {
        let masker = Masker::default();
        masker.add("correct-horse");
        for before in LINE_BYTES - 20..LINE_BYTES + 2 {
            let mut tail = Tail::default();
            tail.push(
                &format!("{}correct-horse", "x".repeat(before)),
                32 * 1024,
                &masker,
            );
            assert!(!masker.mask(tail.take().concat()).contains("co"));
        }
    }
}
