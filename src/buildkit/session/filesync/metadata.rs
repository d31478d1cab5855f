//! Lists of strings in the metadata of a call, in BuildKit's encoding.
//!
//! A header contains only ASCII. If an entry of a list contains other characters, BuildKit escapes all
//! entries of that list as in a URL's query and adds `<name>-encoded: 1`.

use std::borrow::Cow;

use tonic::Status;
use tonic::metadata::MetadataMap;

/// All values under `name`.
pub(super) fn list(metadata: &MetadataMap, name: &'static str) -> Result<Vec<String>, Status> {
    let is_encoded = metadata
        .get(format!("{name}-encoded"))
        .is_some_and(|value| value.as_bytes() == b"1");
    metadata
        .get_all(name)
        .iter()
        .map(|value| {
            let bytes = if is_encoded {
                Cow::Owned(unescape(value.as_bytes()))
            } else {
                Cow::Borrowed(value.as_bytes())
            };
            match std::str::from_utf8(&bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => Err(Status::invalid_argument(format!("{name} is not UTF-8"))),
            }
        })
        .collect()
}

/// Undoes the escaping of a URL's query: `+` for a space, `%XX` for any byte.
fn unescape(escaped: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = escaped
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_encoding::percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_escaped_lists_are_read() {
        let mut metadata = MetadataMap::new();
        metadata.append("exclude-patterns", "a%20b".parse().unwrap());
        metadata.append("exclude-patterns", "*.md".parse().unwrap());
        assert_eq!(
            list(&metadata, "exclude-patterns").unwrap(),
            ["a%20b", "*.md"]
        );

        metadata.insert("exclude-patterns-encoded", "1".parse().unwrap());
        metadata.append("exclude-patterns", "caf%C3%A9+x%2B%3D%26".parse().unwrap());
        assert_eq!(
            list(&metadata, "exclude-patterns").unwrap(),
            ["a b", "*.md", "café x+=&"]
        );
        assert!(list(&metadata, "followpaths").unwrap().is_empty());
    }
}
