//! The selected part of a folder.

use super::error::WalkError;
use super::follow;
use super::patterns::{Matcher, Pattern, PatternError, Scratch};
use super::tree::Tree;

/// A builder's request. If all three lists are empty, everything is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// If not empty, only entries that match one of these are selected, and their parent directories.
    pub includes: Vec<String>,
    /// Entries that match these are not selected.
    pub excludes: Vec<String>,
    /// Also included, together with the targets of the symbolic links in them.
    pub follow_paths: Vec<String>,
}

/// A compiled selection for one folder.
#[derive(Debug)]
pub(super) struct Filter {
    includes: Option<Matcher>,
    excludes: Option<Matcher>,
    /// All includes are plain paths, so their text shows whether one is below a directory.
    includes_are_plain: bool,
    /// The same for the exceptions (`!`) among the excludes.
    exceptions_are_plain: bool,
    scratch: Scratch,
}

/// The decision about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is selected.
    Take,
    /// It is not selected, but an entry below it may be.
    LookBelow,
    /// Neither it nor any entry below it is selected.
    Prune,
}

/// The patterns that matched a directory or one of its parents; see [`Matcher::matches_below`].
#[derive(Debug, Default)]
pub(super) struct Marks {
    includes: Vec<bool>,
    excludes: Vec<bool>,
}

impl Filter {
    pub(super) fn new(selection: &Selection, tree: &Tree) -> Result<Self, WalkError> {
        let mut includes = selection.includes.clone();
        if !selection.follow_paths.is_empty()
            && let Some(followed) = follow::resolve(tree, &selection.follow_paths)?
        {
            includes.extend(followed);
            includes = follow::without_nested(includes).unwrap_or_default();
        }
        let includes = matcher(&includes).map_err(include_error)?;
        let excludes = matcher(&selection.excludes).map_err(exclude_error)?;
        let all_plain = |matcher: Option<&Matcher>, exceptions: bool| {
            let mut patterns = matcher.into_iter().flat_map(Matcher::patterns);
            patterns.all(|pattern| pattern.is_exception != exceptions || is_plain(pattern))
        };
        Ok(Self {
            includes_are_plain: all_plain(includes.as_ref(), false),
            exceptions_are_plain: all_plain(excludes.as_ref(), true),
            includes,
            excludes,
            scratch: Scratch::default(),
        })
    }

    /// The verdict for an entry. For a directory, `below` is set to the marks for its entries.
    pub(super) fn judge(
        &mut self,
        path: &[u8],
        parent: Option<&Marks>,
        mut below: Option<&mut Marks>,
    ) -> Result<Verdict, WalkError> {
        let is_directory = below.is_some();
        let mut verdict = Verdict::Take;
        if let Some(includes) = &self.includes {
            let marks = below.as_mut().map(|marks| &mut marks.includes);
            let parent = parent.map(|marks| marks.includes.as_slice());
            if !includes
                .matches_below(path, parent, marks, &mut self.scratch)
                .map_err(include_error)?
            {
                let prunable = is_directory && self.includes_are_plain;
                if prunable && !some_lead_below(path, includes.patterns(), false) {
                    return Ok(Verdict::Prune);
                }
                verdict = Verdict::LookBelow;
            }
        }
        if let Some(excludes) = &self.excludes {
            let marks = below.as_mut().map(|marks| &mut marks.excludes);
            let parent = parent.map(|marks| marks.excludes.as_slice());
            if excludes
                .matches_below(path, parent, marks, &mut self.scratch)
                .map_err(exclude_error)?
            {
                let prunable = is_directory && self.exceptions_are_plain;
                if prunable && !some_lead_below(path, excludes.patterns(), true) {
                    return Ok(Verdict::Prune);
                }
                verdict = Verdict::LookBelow;
            }
        }
        Ok(verdict)
    }
}

/// Without patterns there is no matcher; if all patterns are blank, the matcher matches nothing.
fn matcher(patterns: &[String]) -> Result<Option<Matcher>, PatternError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    Matcher::new(patterns.iter().map(String::as_str)).map(Some)
}

fn include_error(source: PatternError) -> WalkError {
    WalkError::Pattern {
        list: "include",
        source,
    }
}

fn exclude_error(source: PatternError) -> WalkError {
    WalkError::Pattern {
        list: "exclude",
        source,
    }
}

/// The pattern without trailing stars that only match entries below.
fn stem(pattern: &Pattern) -> &str {
    let text = pattern.text.strip_suffix("/**").unwrap_or(&pattern.text);
    text.strip_suffix("/*").unwrap_or(text)
}

fn is_plain(pattern: &Pattern) -> bool {
    !stem(pattern).contains(['*', '[', ']', '?', '^', '\\'])
}

/// Whether a plain pattern (an exception or not) is the directory or a path below it.
fn some_lead_below(directory: &[u8], patterns: &[Pattern], exceptions: bool) -> bool {
    let mut patterns = patterns
        .iter()
        .filter(|pattern| pattern.is_exception == exceptions);
    patterns.any(|pattern| {
        let below = stem(pattern).as_bytes().strip_prefix(directory);
        below.is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
    })
}
