//! Storage quotas of registries.

use super::immutable::without_names;

/// Whether an error message of a registry means that a storage quota is exceeded.
///
/// Harbor: `Quota exceeded when processing the request of adding 26 MiB of storage resource, which when updated to current
/// usage of 98 MiB will exceed the configured upper limit of 100 MiB`, with status 412 or 403. Quay: `Quota has been exceeded
/// on namespace`. Azure: `Storage limit exceeded`. A file system's `disk quota exceeded` is not included.
#[must_use]
pub(crate) fn is_quota_exceeded(message: &str) -> bool {
    let words = without_names(message);
    let is_quota = words.contains("quota") && words.contains("exceed");
    let is_disk = words.contains("disk quota");
    (is_quota && !is_disk)
        || words.contains("exceed the configured upper limit")
        || words.contains("storage limit exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_each_registry_is_recognised() {
        for words in [
            "DENIED: Quota exceeded when processing the request of adding 26.2 MiB of storage resource",
            "adding 1 KiB of storage resource, which when updated to current usage of 100 MiB will exceed the configured \
             upper limit of 100 MiB",
            "Quota has been exceeded on namespace",
            "Storage limit exceeded",
        ] {
            assert!(is_quota_exceeded(words), "{words}");
        }
        for words in [
            "",
            "tag 1 is immutable",
            "failed to push r.example/quota/app:1: the limit is exceeded",
            "write: disk quota exceeded",
        ] {
            assert!(!is_quota_exceeded(words), "{words}");
        }
    }
}
