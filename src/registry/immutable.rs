//! Immutable tags, which a registry does not move to another image.

/// Parts of the registries' messages, in lower case. The statuses differ: 400, 403, 409, 412.
///
/// - Amazon ECR: `ImageTagAlreadyExistsException`, and `cannot be overwritten because the tag is immutable`.
/// - Google Artifact Registry: `manifest invalid: cannot update tag X. The repository has enabled tag immutability`.
/// - Harbor: `configured as immutable`. Docker Hub: `cannot be updated`, `immutable`. Nexus: `does not allow updating`.
const WORDS: [&str; 7] = [
    "immutable",
    "immutability",
    "imagetagalreadyexists",
    "cannot be overwritten",
    "cannot be updated",
    "cannot update tag",
    "does not allow updating",
];

/// Whether an error message of a registry means that a tag is immutable.
#[must_use]
pub(crate) fn is_immutable(message: &str) -> bool {
    let words = without_names(message);
    WORDS.iter().any(|known| words.contains(known))
}

/// The message in lower case, without the words that contain a `/`: names of images and addresses may contain any text.
pub(super) fn without_names(message: &str) -> String {
    let words = message
        .split_whitespace()
        .filter(|word| !word.contains('/'))
        .collect::<Vec<_>>();
    words.join(" ").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_each_registry_is_recognised() {
        for words in [
            "manifest invalid: cannot update tag 1.0. The repository has enabled tag immutability",
            "The repository has enabled tag immutability",
            "cannot update tag 1.0",
            "TAG_IMMUTABLE",
            "Failed to process request due to 'app:1' configured as immutable.",
        ] {
            assert!(is_immutable(words), "{words}");
        }
        for words in [
            "",
            "manifest invalid",
            "failed to push r.example/immutable/app:1: unexpected status from PUT request to \
             https://r.example/v2/immutable/app/manifests/1: 400 Bad Request: manifest invalid",
        ] {
            assert!(!is_immutable(words), "{words}");
        }
    }
}
