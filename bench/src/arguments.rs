//! The command line.

use std::ffi::OsString;

use crate::groups::Group;

/// How often each program runs in each case, if nothing else is said.
const RUNS: usize = 5;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// In the order in which they are run.
    pub(crate) groups: Vec<Group>,
    /// How often each program runs in each case.
    pub(crate) runs: usize,
    /// Whether the page and its chart are written.
    pub(crate) write: bool,
}

/// Why nothing is run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentsError {
    #[error("`{0}` is no group: say {words}, or nothing for all of them", words = words())]
    Unknown(String),
    #[error("`--runs` needs a number from 1")]
    Runs,
    #[error("`--write` makes a page of all groups, so none can be named beside it")]
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
    fn without_a_word_all_groups_run() {
        let all = parsed("--write --runs 7").unwrap();
        assert_eq!(all.groups, Group::ALL);
        assert_eq!((all.runs, all.write), (7, true));
    }

    #[test]
    fn groups_are_named() {
        let some = parsed("loads far").unwrap();
        assert_eq!(some.groups, [Group::Loads, Group::Far]);
        assert_eq!((some.runs, some.write), (RUNS, false));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        assert_eq!(
            parsed("farther").unwrap_err().to_string(),
            "`farther` is no group: say near, far, slow, loads, start, or nothing for all of them"
        );
        assert_eq!(parsed("--runs"), Err(ArgumentsError::Runs));
        assert_eq!(parsed("--runs 0"), Err(ArgumentsError::Runs));
        assert_eq!(parsed("far --write"), Err(ArgumentsError::WriteSome));
    }
}
