//! The lines of a Dockerfile that a failure or a warning is about, with those around them.

use std::fmt::Write as _;

use bollard_buildkit_proto::pb;

use super::mask::Masker;
use super::text;

/// Lines printed before and after the marked lines.
const AROUND: usize = 4;

/// Lines printed of one range, and in total. A heredoc can be long.
const RANGE_LINES: usize = 20;
const LINES: usize = 60;

/// Characters printed of a line and of the file name.
const LINE_CHARACTERS: usize = 200;

const RULE: &str = "--------------------\n";

/// A part of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceExcerpt {
    /// The name that the frontend uses, for example `Dockerfile`.
    pub filename: String,
    /// The whole file.
    pub data: Vec<u8>,
    /// First and last line of each marked range, counted from 1. Ranges outside the file are skipped.
    pub ranges: Vec<(u32, u32)>,
}

impl SourceExcerpt {
    /// Converts BuildKit's message, which is part of errors and warnings.
    #[must_use]
    pub fn from_buildkit(source: &pb::SourceInfo, ranges: &[pb::Range]) -> Self {
        let line = |position: Option<&pb::Position>| {
            position.map_or(0, |position| u32::try_from(position.line).unwrap_or(0))
        };
        let range = |range: &pb::Range| {
            let start = line(range.start.as_ref());
            (start, line(range.end.as_ref()).max(start))
        };
        Self {
            filename: source.filename.clone(),
            data: source.data.clone(),
            ranges: ranges.iter().map(range).collect(),
        }
    }

    /// Renders the lines with their numbers, and `>>>` before the marked lines. Masks the secrets of `masker`. Returns an
    /// empty string if no range is in the file.
    #[must_use]
    pub fn render(&self, masker: &Masker) -> String {
        let data = self.data.strip_suffix(b"\n").unwrap_or(&self.data);
        let count = data.split(|&byte| byte == b'\n').count();
        let mut ranges: Vec<(usize, usize)> = self
            .ranges
            .iter()
            .filter_map(|&(start, end)| {
                Some((
                    usize::try_from(start).ok()?,
                    usize::try_from(end).ok()?.min(count),
                ))
            })
            .filter(|&(start, end)| start >= 1 && start <= end)
            .collect();
        ranges.sort_unstable();
        let Some(&(first, _)) = ranges.first() else {
            return String::new();
        };

        let mut block = format!(
            "{}:{first}\n{RULE}",
            text::one_line(&self.filename, LINE_CHARACTERS, masker)
        );
        let mut shown = 0;
        let mut last = None;
        for (number, line) in (1..).zip(data.split(|&byte| byte == b'\n')) {
            let near = |&(start, end): &(usize, usize)| {
                let end = end.min(start + RANGE_LINES - 1);
                (start.saturating_sub(AROUND)..=end + AROUND).contains(&number)
            };
            if shown == LINES || !ranges.iter().any(near) {
                continue;
            }
            if last.is_some_and(|last| last + 1 < number) {
                block.push_str(" ...\n");
            }
            let marked = ranges
                .iter()
                .any(|&(start, end)| (start..=end).contains(&number));
            let mark = if marked { ">>>" } else { "" };
            let code = text::one_line(&String::from_utf8_lossy(line), LINE_CHARACTERS, masker);
            let row = format!(" {number:>3} | {mark:3} {code}");
            // Writing to a string never fails.
            let _infallible = writeln!(block, "{}", row.trim_end());
            shown += 1;
            last = Some(number);
        }
        block + RULE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(data: &str, ranges: &[(u32, u32)]) -> String {
        let excerpt = SourceExcerpt {
            filename: "Dockerfile".into(),
            data: data.into(),
            ranges: ranges.to_vec(),
        };
        excerpt.render(&Masker::default())
    }

    fn numbered(count: usize) -> String {
        (1..=count).fold(String::new(), |data, number| {
            data + &format!("RUN {number}\n")
        })
    }

    #[test]
    fn a_failed_line_is_printed_with_its_neighbours() {
        let data = "FROM scratch\n\nCOPY a /a\nCOPY b /b\nRUN make \\\n    install\nCOPY c /c\n";
        insta::assert_snapshot!(excerpt(data, &[(5, 6)]), @r"
        Dockerfile:5
        --------------------
           1 |     FROM scratch
           2 |
           3 |     COPY a /a
           4 |     COPY b /b
           5 | >>> RUN make \
           6 | >>>     install
           7 |     COPY c /c
        --------------------
        ");
    }

    #[test]
    fn a_gap_between_ranges_is_marked() {
        insta::assert_snapshot!(excerpt(&numbered(40), &[(30, 30), (2, 2)]), @"
        Dockerfile:2
        --------------------
           1 |     RUN 1
           2 | >>> RUN 2
           3 |     RUN 3
           4 |     RUN 4
           5 |     RUN 5
           6 |     RUN 6
         ...
          26 |     RUN 26
          27 |     RUN 27
          28 |     RUN 28
          29 |     RUN 29
          30 | >>> RUN 30
          31 |     RUN 31
          32 |     RUN 32
          33 |     RUN 33
          34 |     RUN 34
        --------------------
        ");
    }

    #[test]
    fn a_long_heredoc_is_cut() {
        let shown = excerpt(
            &numbered(5000),
            &[(10, 4000), (4500, 4900), (4950, 5000), (5000, 9000)],
        );
        assert_eq!(
            shown.lines().filter(|line| line.contains("RUN")).count(),
            LINES
        );
        let wide = excerpt(&"x".repeat(1 << 20), &[(1, 1)]);
        assert!(wide.len() < 300 + LINE_CHARACTERS, "{}", wide.len());
    }

    #[test]
    fn ranges_outside_the_file_are_skipped() {
        for ranges in [
            &[][..],
            &[(0, 0)],
            &[(0, 3)],
            &[(3, 2)],
            &[(4, 4)],
            &[(u32::MAX, u32::MAX)],
        ] {
            assert_eq!(excerpt("a\nb\nc\n", ranges), "");
        }
        assert_eq!(
            excerpt("", &[(1, 1)]),
            "Dockerfile:1\n--------------------\n   1 | >>>\n--------------------\n"
        );
    }

    #[test]
    fn a_range_of_buildkit_without_an_end_is_one_line() {
        let position = |line| Some(pb::Position { line, character: 0 });
        let source = pb::SourceInfo {
            filename: "Dockerfile".into(),
            data: b"a\nb\n".to_vec(),
            ..Default::default()
        };
        let ranges = [
            pb::Range {
                start: position(2),
                end: None,
            },
            pb::Range {
                start: position(-1),
                end: position(2),
            },
            pb::Range {
                start: position(1),
                end: position(2),
            },
        ];
        let excerpt = SourceExcerpt::from_buildkit(&source, &ranges);
        assert_eq!(excerpt.ranges, [(2, 2), (0, 2), (1, 2)]);
    }
}
