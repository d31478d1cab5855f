//! Names of branches that are used as tags, but contain characters that a tag cannot.

use crate::bitbucket::TAG_OF_BRANCH;
use crate::registry::reference::Reference;

/// The hint for a tag that looks like the name of a branch.
pub(super) fn branch_hint() -> String {
    format!(
        "a branch name can contain `/` and other characters that are not allowed in a tag: use $BITBUCKET_COMMIT, or replace them in a \
         line before the pipe and use $TAG:\n  {TAG_OF_BRANCH}"
    )
}

/// The part in place of the tag, if it looks like the name of a branch.
pub(super) fn branch(text: &str) -> Option<&str> {
    let is_port = |name: &str, rest: &str| {
        let end = rest.find('/').unwrap_or(rest.len());
        let first = rest.get(..end).unwrap_or_default();
        !name.contains('/') && end < rest.len() && first.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.match_indices(':')
        .filter_map(|(at, _)| text.split_at_checked(at))
        .map(|(name, rest)| (name, rest.trim_start_matches(':')))
        .find(|(name, rest)| !is_port(name, rest) && Reference::parse(name).is_ok())
        .map(|(_, tag)| tag.split("@sha").next().unwrap_or(tag))
        .filter(|tag| may_be_branch(tag))
}

/// The same for a name whose repository has upper-case letters.
pub(super) fn branch_in_any_case(text: &str) -> Option<&str> {
    let lower_case = text.to_ascii_lowercase();
    let tag = branch(&lower_case)?;
    let start = lower_case.find(tag)?;
    text.get(start..start + tag.len())
}

/// Whether a text that is not a tag can be the name of a branch: Git forbids `:` and `~^?*[\`, and two dots in a row.
pub(super) fn may_be_branch(text: &str) -> bool {
    let is_forbidden = |character: char| {
        character.is_whitespace() || character.is_control() || ":~^?*[\\$".contains(character)
    };
    let has_other =
        |character: char| !character.is_ascii_alphanumeric() && !"_.-".contains(character);
    text.contains(has_other) && !text.contains(is_forbidden)
}
