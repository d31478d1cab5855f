//! Names of branches that are used as tags, but contain characters that a tag cannot.

use super::findings::is_digest;
use super::tags::Values;
use crate::registry::reference::Reference;

/// A name whose tag looks like the name of a branch, or has placeholders.
pub(super) struct BranchAsTag<'a> {
    /// The name before the tag.
    pub(super) name: &'a str,
    /// The part in place of the tag.
    pub(super) tag: &'a str,
    /// The entry of `TAGS` for it.
    pub(super) template: String,
    /// Whether it contains the name of this pipeline's branch or Git tag, or placeholders; then it is not a login.
    pub(super) is_certain: bool,
}

impl<'a> BranchAsTag<'a> {
    pub(super) fn of(text: &'a str, values: &Values) -> Option<Self> {
        let (name, tag) = split(text)?;
        match values.template_of(tag) {
            Some(template) => Some(Self {
                name,
                tag,
                template,
                is_certain: true,
            }),
            None => may_be_branch(tag).then(|| Self {
                name,
                tag,
                template: "{branch}".to_owned(),
                is_certain: false,
            }),
        }
    }

    /// Whether the name has upper-case letters, which is a fault of its own.
    pub(super) fn has_upper_case_name(&self) -> bool {
        Reference::parse(self.name).is_err()
    }

    /// The lines to write instead. `name`: the name as it can be shown.
    pub(super) fn hint(&self, name: &str) -> String {
        tags_hint(Some(&name.to_ascii_lowercase()), "TAGS", &self.template)
    }
}

/// The lines to write instead of a tag with the name of a branch.
pub(super) fn tags_hint(image: Option<&str>, variable: &str, template: &str) -> String {
    let image = image.map_or(String::new(), |name| format!("  IMAGE: {name}\n"));
    format!(
        "a branch name can contain `/` and other characters that are not allowed in a tag; the values of placeholders are cleaned, so \
         write\n{image}  {variable}: '{template}'"
    )
}

/// The name and the part in place of its tag.
fn split(text: &str) -> Option<(&str, &str)> {
    let is_port = |name: &str, rest: &str| {
        let end = rest.find('/').unwrap_or(rest.len());
        let first = rest.get(..end).unwrap_or_default();
        !name.contains('/') && end < rest.len() && first.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_name = |name: &str| {
        Reference::parse(name).is_ok() || Reference::parse(&name.to_ascii_lowercase()).is_ok()
    };
    text.match_indices(':')
        .filter_map(|(at, _)| text.split_at_checked(at))
        .map(|(name, rest)| (name, rest.trim_start_matches(':')))
        .find(|(name, rest)| !is_port(name, rest) && is_name(name))
        .map(|(name, tag)| (name, without_digest(tag)))
}

fn without_digest(tag: &str) -> &str {
    match tag.rsplit_once('@') {
        Some((before, digest)) if is_digest(digest) => before,
        _ => tag,
    }
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
