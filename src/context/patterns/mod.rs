//! Include and exclude patterns, with the semantics of a builder.
//!
//! The rules are those of a `.dockerignore` without comments and blanks: `*` and `?` match within one
//! directory, `**` matches any number of directories, a pattern that matches a directory matches
//! everything below it, `!` makes an exception, and the last matching pattern decides. Patterns are
//! compared with paths relative to the root, without a leading slash; a pattern with a leading slash
//! therefore never matches.
//!
//! BuildKit's client uses moby's `patternmatcher`; its quirks are kept.
//!
//! Limits: [`MAX_PATTERN_BYTES`] for a pattern, and a total size for the compiled patterns of a list.
//! The time of a match is at most the pattern's length times the path's length, for any pattern (see
//! `machine`).

mod classes;
mod expression;
pub(super) mod glob;
mod machine;
#[cfg(test)]
mod model;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use expression::Compiled;
use glob::glob_matches;
pub(crate) use machine::Scratch;

use super::lexical::clean;

/// Twice the kernel's longest path, so that every character of it can be escaped.
pub(crate) const MAX_PATTERN_BYTES: usize = 16 * 1024;

/// The limit for the steps of all patterns in a list: about 80 MB. Ten thousand usual patterns need a third of it.
const MAX_LIST_STEPS: usize = 2 << 20;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// The text is not a pattern.
    #[error("pattern `{pattern}` is not valid: {reason}")]
    Invalid {
        /// As it was given.
        pattern: String,
        /// The reason.
        reason: String,
    },
    /// Longer than [`MAX_PATTERN_BYTES`].
    #[error("pattern `{start}...` is {length} bytes long; the limit is {MAX_PATTERN_BYTES}")]
    TooLong {
        /// Its first characters.
        start: String,
        /// In bytes.
        length: usize,
    },
}

/// One compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Cleaned, without the `!`.
    pub(super) text: String,
    /// Starts with `!`: paths that it matches are exceptions.
    pub(super) is_exception: bool,
    given: String,
    /// Compiled late, as in builders: an invalid pattern is an error only when it is compared.
    compiled: Result<Compiled, String>,
}

/// A list of patterns; the last one that applies to a path decides.
#[derive(Debug)]
pub(crate) struct Matcher {
    patterns: Vec<Pattern>,
    /// The patterns that match only by equality, if no pattern is an exception. Then their order does not
    /// matter. Links can create lists of a hundred thousand such patterns.
    exact: Option<HashSet<Box<[u8]>>>,
}

impl Matcher {
    /// Cleans and compiles the patterns; empty patterns are skipped.
    ///
    /// # Errors
    /// A pattern is not well formed. An error that is found only during compilation (`[b-a]`)
    /// is reported by the first match that needs it.
    pub(crate) fn new<'pattern>(
        patterns: impl IntoIterator<Item = &'pattern str>,
    ) -> Result<Self, PatternError> {
        let mut steps = MAX_LIST_STEPS;
        let patterns: Vec<Pattern> = patterns
            .into_iter()
            .filter_map(|given| Pattern::new(given, &mut steps).transpose())
            .collect::<Result<_, _>>()?;
        let has_exceptions = patterns.iter().any(|pattern| pattern.is_exception);
        let exact = patterns.iter().filter(|pattern| pattern.is_exact());
        let exact = (!has_exceptions).then(|| {
            exact
                .map(|pattern| pattern.text.as_bytes().into())
                .collect()
        });
        Ok(Self { patterns, exact })
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether the path, or a directory above it, is matched.
    ///
    /// # Errors
    /// A pattern that must be compared is not valid.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn matches(&self, path: &[u8]) -> Result<bool, PatternError> {
        self.matches_below(path, None, None, &mut Scratch::default())
    }

    /// Whether a path found while walking downwards, or a directory above it, is matched.
    ///
    /// `parent` contains the `marks` of the parent directory: the patterns that matched it or a directory
    /// above it, or, in a list without exceptions, whether any pattern matched. Without `parent`, these
    /// directories are compared as well. A pattern that cannot change the result is skipped, and marked
    /// as not matching.
    pub(crate) fn matches_below(
        &self,
        path: &[u8],
        parent: Option<&[bool]>,
        mut marks: Option<&mut Vec<bool>>,
        scratch: &mut Scratch,
    ) -> Result<bool, PatternError> {
        if let Some(exact) = &self.exact {
            let is_inherited = parent.unwrap_or_default().contains(&true);
            let matched = is_inherited
                || is_or_lies_in(exact, path, parent.is_none())
                || self.any_matches(path, parent.is_none(), scratch)?;
            if let Some(marks) = marks {
                marks.push(matched);
            }
            return Ok(matched);
        }
        let mut matched = false;
        let inherited = parent
            .unwrap_or_default()
            .iter()
            .copied()
            .chain(std::iter::repeat(false));
        for (pattern, inherited) in self.patterns.iter().zip(inherited) {
            let applies = inherited
                || (pattern.is_exception == matched
                    && pattern.matches(path, parent.is_none(), scratch)?);
            if applies {
                matched = !pattern.is_exception;
            }
            if let Some(marks) = &mut marks {
                marks.push(applies);
            }
        }
        Ok(matched)
    }

    /// Whether one of the patterns that need more than a comparison matches.
    fn any_matches(
        &self,
        path: &[u8],
        with_parents: bool,
        scratch: &mut Scratch,
    ) -> Result<bool, PatternError> {
        for pattern in self.patterns.iter().filter(|pattern| !pattern.is_exact()) {
            if pattern.matches(path, with_parents, scratch)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_or_lies_in(exact: &HashSet<Box<[u8]>>, path: &[u8], with_parents: bool) -> bool {
    let mut parents = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
    !exact.is_empty()
        && (exact.contains(path)
            || with_parents && parents.any(|(end, _)| exact.contains(path.split_at(end).0)))
}

impl Pattern {
    fn is_exact(&self) -> bool {
        matches!(self.compiled, Ok(Compiled::Exact))
    }

    fn new(given: &str, steps: &mut usize) -> Result<Option<Self>, PatternError> {
        if given.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong {
                start: given.chars().take(40).collect(),
                length: given.len(),
            });
        }
        let invalid = |reason: &str| PatternError::Invalid {
            pattern: given.to_owned(),
            reason: reason.to_owned(),
        };
        let trimmed = given.trim();
        if trimmed.is_empty() {
            return Ok(None);
        }
        // The `!` is still part of the text here: `!../a` is not resolved, and `!./a` never matches.
        let cleaned = clean(trimmed);
        let (is_exception, text) = cleaned
            .strip_prefix('!')
            .map_or((false, &*cleaned), |text| (true, text));
        if text.is_empty() {
            return Err(invalid("nothing follows the `!`"));
        }
        if glob_matches(text, b".").is_err() {
            return Err(invalid(
                "a `[` is not closed, its class is empty or not valid, or nothing follows a `\\`",
            ));
        }
        let compiled = Compiled::new(text, steps);
        Ok(Some(Self {
            text: text.to_owned(),
            is_exception,
            given: given.to_owned(),
            compiled,
        }))
    }

    fn matches(
        &self,
        path: &[u8],
        with_parents: bool,
        scratch: &mut Scratch,
    ) -> Result<bool, PatternError> {
        let compiled = self
            .compiled
            .as_ref()
            .map_err(|reason| PatternError::Invalid {
                pattern: self.given.clone(),
                reason: reason.clone(),
            })?;
        let mut compare = |path: &[u8]| match compiled {
            Compiled::Exact => path == self.text.as_bytes(),
            Compiled::Prefix(prefix) => path.starts_with(prefix),
            Compiled::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix(b"/").is_some_and(|name| name == path)
            }
            Compiled::Machine(machine) => machine.matches(path, scratch),
        };
        let parents = path
            .iter()
            .enumerate()
            .filter(|&(_, &byte)| byte == b'/')
            .map(|(end, _)| path.split_at(end).0);
        Ok(compare(path) || (with_parents && parents.into_iter().any(compare)))
    }
}
