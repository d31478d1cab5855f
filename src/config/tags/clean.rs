//! From any text to a valid tag.

use super::template::{is_of_tag, is_wrong_at_start};
use crate::registry::reference::TAG_MAX_CHARACTERS;
use crate::text::digest::sha256;

/// The length of the hash that replaces the end of a long tag, in hexadecimal digits.
const HASH_DIGITS: usize = 8;

/// The tag for a text: characters that a tag cannot hold become `-`, one for each sequence of them; `.` and `-` at the start are
/// removed.
///
/// A longer tag is cut and ends with a hash of the text, so that two long texts differ. A text of which nothing remains becomes its
/// hash. The result depends only on the text.
pub(crate) fn clean(text: &str) -> String {
    let mut tag = String::new();
    let mut was_replaced = false;
    for character in text.chars() {
        let is_replaced = !is_of_tag(character);
        let character = if is_replaced { '-' } else { character };
        let is_skipped =
            (is_replaced && was_replaced) || (tag.is_empty() && is_wrong_at_start(character));
        if !is_skipped {
            tag.push(character);
        }
        was_replaced = is_replaced;
    }
    if tag.is_empty() {
        return hash(text);
    }
    if tag.len() > TAG_MAX_CHARACTERS {
        // ASCII, so any length is a boundary.
        tag.truncate(TAG_MAX_CHARACTERS - HASH_DIGITS - 1);
        let kept = tag.trim_end_matches(['.', '-']).len();
        tag.truncate(kept);
        tag.push('-');
        tag.push_str(&hash(text));
    }
    tag
}

fn hash(text: &str) -> String {
    let digest = sha256(text.as_bytes());
    let digits = digest.rsplit(':').next().unwrap_or_default();
    digits.chars().take(HASH_DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::reference::Reference;

    #[test]
    fn characters_that_a_tag_cannot_hold_are_replaced() {
        for (text, tag) in [
            ("main", "main"),
            ("feature/ABC-1_x", "feature-ABC-1_x"),
            ("fix/login@v2", "fix-login-v2"),
            ("deps/@types/node-20", "deps-types-node-20"),
            ("1.2.3+5", "1.2.3-5"),
            (".hidden", "hidden"),
            ("-.-x", "x"),
            ("/x", "x"),
            ("_x", "_x"),
            ("größer", "gr-er"),
            ("a//b", "a-b"),
            ("a--b", "a--b"),
            ("x.", "x."),
        ] {
            assert_eq!(clean(text), tag, "{text}");
        }
        let hashes = ["日本", "中国", "...", "/"].map(clean);
        assert_eq!(hashes[0], "cf2abf0c", "the hash of a text never changes");
        assert!(hashes.iter().all(|hash| hash.len() == HASH_DIGITS));
        assert_ne!(hashes[0], hashes[1]);
    }

    #[test]
    fn a_long_text_is_cut_and_ends_with_its_hash() {
        let longest = "x".repeat(128);
        assert_eq!(clean(&longest), longest);
        let tags = ["a", "b"].map(|end| clean(&(longest.clone() + end)));
        assert_ne!(tags[0], tags[1]);
        for tag in tags {
            assert_eq!(tag.len(), 128);
            assert!(tag.starts_with(&"x".repeat(119)), "{tag}");
        }
        // No two separators before the hash.
        let tag = clean(&format!("{}--.{}", "x".repeat(117), "y".repeat(20)));
        assert_eq!(tag.rfind('-'), Some(117), "{tag}");
        // Texts that differ only in replaced characters.
        let pair = ["/", ":"].map(|end| clean(&format!("{longest}{end}y")));
        assert_ne!(pair[0], pair[1]);
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_valid_tag(text in "\\PC{0,40}|[-./a-z]{0,400}") {
            let tag = clean(&text);
            let reference = Reference::parse(&format!("a:{tag}")).unwrap();
            prop_assert_eq!(reference.tag(), &tag);
            prop_assert_eq!(clean(&tag), tag);
        }

        #[test]
        fn a_valid_tag_is_unchanged(tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}") {
            prop_assert_eq!(clean(&tag), tag);
        }
    }
}
