//! The last lines of a step's output, to be shown again if it fails.

use std::collections::VecDeque;

/// Lines kept.
pub(super) const LINES: usize = 40;

/// Bytes kept of one line; of a longer one the beginning tells most.
const LINE_BYTES: usize = 2048;

/// The last lines, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// Adds a line; older ones go once more than `limit` bytes are held.
    pub(super) fn push(&mut self, line: &str, limit: usize) {
        let longest = LINE_BYTES.min(limit);
        let line = match line.get(..line.floor_char_boundary(longest)) {
            // Cut in the middle, its colour has not ended.
            Some(start) if start.len() < line.len() && start.contains('\x1b') => {
                format!("{start}…\x1b[0m")
            }
            Some(start) if start.len() < line.len() => format!("{start}…"),
            _ => line.to_owned(),
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
    fn the_last_lines_stay() {
        let mut tail = Tail::default();
        for line in 0..100 {
            tail.push(&line.to_string(), 32 * 1024);
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
    fn bytes_are_bounded_but_the_last_line_is_told() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push(&"ä".repeat(1 << 20), 5000);
            assert!(tail.held() <= 2 * 5000, "held {}", tail.held());
        }
        tail.push("\x1b[31mred and much too long", 10);
        assert_eq!(tail.take(), ["\x1b[31mred a…\x1b[0m"]);
    }
}
