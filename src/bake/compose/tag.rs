//! Tags of YAML, and those of compose.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::Tag;

use super::node::Data;
use super::scalar;

/// The tags that compose gives a meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Reset,
    Override,
}

/// The mark of a tag.
pub(crate) fn mark(tag: Option<&Tag>) -> Mark {
    match tag.map(Tag::parts) {
        Some(("!", "reset")) => Mark::Reset,
        Some(("!", "override")) => Mark::Override,
        _ => Mark::None,
    }
}

/// The value of a scalar with a tag, or nothing if the text is of another type.
pub(crate) fn tagged(text: &str, is_plain: bool, tag: &Tag) -> Option<Data> {
    let value = scalar::plain(text);
    let known = tag.suffix_in_namespace("tag:yaml.org,2002:");
    match (known.as_deref(), value) {
        (Some("null"), Data::Null) => Some(Data::Null),
        (Some("bool"), value @ Data::Bool(_))
        | (Some("int"), value @ Data::Integer(_))
        | (Some("float"), value @ Data::Float(_))
        | (Some("timestamp"), value @ Data::Time(_)) => Some(value),
        (Some("float"), Data::Integer(value)) => format!("{value}").parse().ok().map(Data::Float),
        (Some("null" | "bool" | "int" | "float" | "timestamp"), _) => None,
        (Some("binary"), _) => decode(text).map(Data::Text),
        (None, value) if mark(Some(tag)) == Mark::Reset && is_plain => Some(value),
        _ => Some(Data::Text(text.to_owned())),
    }
}

/// Base64 of UTF-8.
fn decode(text: &str) -> Option<String> {
    let text: String = text.split_ascii_whitespace().collect();
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}
