//! Tags that a registry does not move from one image to another.

/// How registries say so, in lower case: ECR, Harbor, Docker Hub, Artifact Registry, Nexus. Their statuses differ: 400, 403, 409, 412.
const WORDS: [&str; 5] = [
    "immutable",
    "imagetagalreadyexists",
    "cannot be overwritten",
    "cannot be updated",
    "does not allow updating",
];

/// Whether a registry's words say that a tag cannot be moved.
#[must_use]
pub fn is_immutable(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    WORDS.iter().any(|known| words.contains(known))
}
