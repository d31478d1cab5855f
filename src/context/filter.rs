//! What of a folder is wanted.

use super::error::WalkError;
use super::follow;
use super::patterns::{Matcher, Pattern, PatternError, Scratch};
use super::tree::Tree;

/// What a builder asks for. With all three lists empty that is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// If there are any, only what one of them matches, and the directories that lead there.
    pub includes: Vec<String>,
    /// Not what these match.
    pub excludes: Vec<String>,
    /// Included too, together with everything that symbolic links on the way lead to.
    pub follow_paths: Vec<String>,
}

/// A selection made ready for one folder.
#[derive(Debug)]
pub(super) struct Filter {
    includes: Option<Matcher>,
    excludes: Option<Matcher>,
    /// All includes are plain paths, so whether one leads below a directory can be read off its text.
    includes_are_plain: bool,
    /// The same of the exceptions (`!`) among the excludes.
    exceptions_are_plain: bool,
    scratch: Scratch,
}

/// What to do about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is wanted.
    Take,
    /// It is not, but something below it may be.
    LookBelow,
    /// Nothing in it is.
    Prune,
}

/// Which patterns matched a directory or one above it; see [`Matcher::matches_below`].
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

    /// Judges an entry. For a directory, `below` becomes the marks that its entries are judged with.
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

/// No patterns at all are no matcher; patterns that are all blank are one that matches nothing.
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

/// The pattern without stars at its end that only stand for what is below.
fn stem(pattern: &Pattern) -> &str {
    let text = pattern.text.strip_suffix("/**").unwrap_or(&pattern.text);
    text.strip_suffix("/*").unwrap_or(text)
}

fn is_plain(pattern: &Pattern) -> bool {
    !stem(pattern).contains(['*', '[', ']', '?', '^', '\\'])
}

/// Whether a plain pattern (of the exceptions, or of the others) names the directory or something below it.
fn some_lead_below(directory: &[u8], patterns: &[Pattern], exceptions: bool) -> bool {
    let mut patterns = patterns
        .iter()
        .filter(|pattern| pattern.is_exception == exceptions);
    patterns.any(|pattern| {
        let below = stem(pattern).as_bytes().strip_prefix(directory);
        below.is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
    })
}
