//! The command line.

use std::ffi::OsString;

use crate::groups::Group;

/// The default number of runs of each program in each case.
const RUNS: usize = 5;

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// The groups, in the order in which they run.
    pub(crate) groups: Vec<Group>,
    /// The number of runs of each program in each case.
    pub(crate) runs: usize,
    /// Whether to write the page and its chart.
    pub(crate) write: bool,
}

/// Why the command line is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentsError {
    #[error("unknown group `{0}`: expected {words}, or none to run all", words = words())]
    Unknown(String),
    #[error("`--runs` requires a number of at least 1")]
    Runs,
    #[error("`--write` writes a page of all groups and cannot be combined with a group")]
    WriteSome,
}

impl Arguments {
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, ArgumentsError> {
        let mut words = arguments.map(|word| word.to_string_lossy().into_owned());
        let (mut groups, mut runs, mut write) = (Vec::new(), RUNS, false);
        while let Some(word) = words.next() {
            match &*word {
                "--write" => write = true,
                "--runs" => {
                    let number = words.next().and_then(|number| number.parse().ok());
                    runs = number
                        .filter(|number| *number > 0)
                        .ok_or(ArgumentsError::Runs)?;
                }
                _ => {
                    let group = Group::ALL.into_iter().find(|group| group.word() == word);
                    groups.push(group.ok_or(ArgumentsError::Unknown(word))?);
                }
            }
        }
        if groups.is_empty() {
            groups.extend(Group::ALL);
        } else if write {
            return Err(ArgumentsError::WriteSome);
        }
        Ok(Self {
            groups,
            runs,
            write,
        })
    }
}

fn words() -> String {
    Group::ALL.map(Group::word).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, ArgumentsError> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn without_a_group_all_groups_run() {
        let all = parsed("--write --runs 7").unwrap();
        assert_eq!(all.groups, Group::ALL);
        assert_eq!((all.runs, all.write), (7, true));
    }

    #[test]
    fn named_groups_are_selected() {
        let some = parsed("loads far").unwrap();
        assert_eq!(some.groups, [Group::Loads, Group::Far]);
        assert_eq!((some.runs, some.write), (RUNS, false));
    }

    #[test]
    fn invalid_arguments_are_reported() {
        assert_eq!(
            parsed("farther").unwrap_err().to_string(),
            "unknown group `farther`: expected near, far, slow, bake, loads, start, or none to run all"
        );
        assert_eq!(parsed("--runs"), Err(ArgumentsError::Runs));
        assert_eq!(parsed("--runs 0"), Err(ArgumentsError::Runs));
        assert_eq!(parsed("far --write"), Err(ArgumentsError::WriteSome));
    }
}
