//! Names with values: `NAME=VALUE` lines, the same as an array, or a YAML mapping.
//!
//! A value can be a secret, so messages show only names, and only names that look like those of variables: a line after a
//! stray line break can be the second half of a password.

use std::ffi::OsStr;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::values::{ENTRY_MARK, entries, is_set};
use super::yaml::Budget;

/// The longest name in a message.
const SHOWN_NAME_CHARACTERS: usize = 40;

/// A name and its value.
pub(super) type Pair = (String, String);

/// The fault of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PairFault {
    /// The part before the `=` is not the name of a variable.
    NoName {
        /// The entry, as [`label`] shows it.
        entry: String,
    },
    /// A name without a value, of a variable that is not set.
    NotInEnvironment {
        /// The entry, as [`label`] shows it.
        entry: String,
    },
    /// A name without a value, of a variable that is not UTF-8.
    NotUtf8 {
        /// The entry, as [`label`] shows it.
        entry: String,
    },
    /// The text starts like a YAML mapping, but is not one with plain values.
    Yaml {
        /// Line and column, counted from 1.
        position: Option<(usize, usize)>,
    },
}

/// Reads all pairs in order. A name without a value gets its value from `lookup`.
pub(super) fn read<'a>(
    value: &str,
    lookup: impl Fn(&str) -> Option<&'a OsStr>,
) -> Result<Vec<Pair>, Vec<PairFault>> {
    read_names(value, is_name, lookup)
}

/// The same with another rule for names.
pub(super) fn read_names<'a>(
    value: &str,
    is_name: impl Fn(&str) -> bool,
    lookup: impl Fn(&str) -> Option<&'a OsStr>,
) -> Result<Vec<Pair>, Vec<PairFault>> {
    let named = named(value).map_err(|fault| vec![fault])?;
    let mut pairs = Vec::with_capacity(named.len());
    let mut faults = Vec::new();
    for (index, (name, value)) in named.into_iter().enumerate() {
        let entry = label(index, &name);
        match value.map_or_else(|| inherited(&name, &entry, &lookup), Ok) {
            _ if !is_name(&name) => faults.push(PairFault::NoName { entry }),
            Ok(value) => pairs.push((name, value)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(pairs)
    } else {
        Err(faults)
    }
}

/// Reads all names and values in order, without validating names.
pub(super) fn named(value: &str) -> Result<Named, PairFault> {
    if is_mapping(value) {
        mapping(value)
    } else {
        Ok(equations(value))
    }
}

/// Like [`named`], for names that can contain any characters: the first line starts a mapping if a colon and white space, or a
/// colon and the end of the line, come before the first `=`.
pub(super) fn freely_named(value: &str) -> Result<Named, PairFault> {
    let is_mapping = !value.starts_with(ENTRY_MARK) && {
        let mut lines = value.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let name = first.split('=').next().unwrap_or_default();
        first.starts_with('{') || name.contains(": ") || name.ends_with(':') && name == first
    };
    if is_mapping {
        mapping(value)
    } else {
        Ok(equations(value))
    }
}

/// The names without a value, which get their values from the environment.
pub(super) fn inherited_names(value: &str) -> Vec<String> {
    named(value)
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name)
        .collect()
}

/// An entry in a message: its name if that is certainly a name, else its position.
pub(super) fn label(index: usize, name: &str) -> String {
    let is_usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if is_name(name) && name.len() <= SHOWN_NAME_CHARACTERS && name.bytes().all(is_usual) {
        format!("`{name}`")
    } else {
        format!("entry {}", index + 1)
    }
}

fn inherited<'a>(
    name: &str,
    entry: &str,
    lookup: impl Fn(&str) -> Option<&'a OsStr>,
) -> Result<String, PairFault> {
    let entry = entry.to_owned();
    match lookup(name).map(OsStr::to_str) {
        // An empty value is a value. A reference is what Bitbucket passes for an unset variable.
        Some(Some(value)) if value.is_empty() || is_set(value) => Ok(value.to_owned()),
        Some(Some(_)) | None => Err(PairFault::NotInEnvironment { entry }),
        Some(None) => Err(PairFault::NotUtf8 { entry }),
    }
}

pub(super) type Named = Vec<(String, Option<String>)>;

fn equations(value: &str) -> Named {
    let named = entries(value).map(|entry| match entry.split_once('=') {
        Some((name, value)) => (name.trim_start().to_owned(), Some(value.to_owned())),
        None => (entry.trim().to_owned(), None),
    });
    named.collect()
}

/// Letters, digits, `_`, `.` and `-`; the first character is a letter or `_`.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Whether the first line starts a mapping: with `{`, or with a name and a colon that a space or the end follows.
///
/// `NAME=a: b` is not a mapping: its `=` comes first.
fn is_mapping(value: &str) -> bool {
    if value.starts_with(ENTRY_MARK) {
        return false;
    }
    let first = value
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim();
    if first.starts_with('{') {
        return true;
    }
    match first.split_once([':', '=']) {
        Some((name, rest)) => {
            let is_colon = first
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(':'));
            let quoted = name
                .strip_prefix(['"', '\''])
                .and_then(|name| name.strip_suffix(['"', '\'']));
            is_colon
                && is_name(quoted.unwrap_or(name))
                && (rest.is_empty() || rest.starts_with([' ', '\t']))
        }
        None => false,
    }
}

fn mapping(value: &str) -> Result<Named, PairFault> {
    serde_yaml::from_str::<Mapping>(value)
        .map(|mapping| mapping.0)
        .map_err(|error| {
            // The error itself can quote a value.
            PairFault::Yaml {
                position: error
                    .location()
                    .map(|location| (location.line(), location.column())),
            }
        })
}

/// A YAML mapping in order, each value as written (`1.10` is not a number), `null` as `None`.
struct Mapping(Named);

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MappingVisitor;

        impl<'de> Visitor<'de> for MappingVisitor {
            type Value = Mapping;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mapping of names to plain values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut named = Vec::new();
                let left = Budget::new();
                while let Some((name, value)) = access.next_entry::<String, Option<String>>()? {
                    left.take(name.len() + value.as_ref().map_or(0, String::len))?;
                    named.push((name, value));
                }
                Ok(Mapping(named))
            }
        }

        deserializer.deserialize_map(MappingVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(name: &str) -> Option<&'static OsStr> {
        match name {
            "SET" => Some(OsStr::new("from = outside")),
            "EMPTY" => Some(OsStr::new("")),
            "LITERAL" => Some(OsStr::new("$LITERAL")),
            _ => None,
        }
    }

    fn pairs(value: &str) -> Vec<Pair> {
        read(value, environment).unwrap_or_else(|faults| panic!("{value:?}: {faults:?}"))
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<Pair> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn every_form_gives_names_and_values() {
        for (value, expected) in [
            ("A=b", vec![("A", "b")]),
            ("A=b\nC=d", vec![("A", "b"), ("C", "d")]),
            (
                "  A=b \r\n\n\tC= d=\"e\" $F ${G} \\ # ' \r\n",
                vec![("A", "b "), ("C", " d=\"e\" $F ${G} \\ # ' ")],
            ),
            ("A=", vec![("A", "")]),
            ("A=$UNSET", vec![("A", "$UNSET")]),
            ("A=x: y", vec![("A", "x: y")]),
            ("A={b: c}", vec![("A", "{b: c}")]),
            (
                "A=https://example.com:80",
                vec![("A", "https://example.com:80")],
            ),
            (
                "SET\nEMPTY\n http_proxy=x",
                vec![
                    ("SET", "from = outside"),
                    ("EMPTY", ""),
                    ("http_proxy", "x"),
                ],
            ),
            (
                "\0A=b\nc\0SET\0D=",
                vec![("A", "b\nc"), ("SET", "from = outside"), ("D", "")],
            ),
            ("\0A={x}", vec![("A", "{x}")]),
            ("{A: b}", vec![("A", "b")]),
            ("{}", vec![]),
            ("{\"A\": \"b, c\", 'D': e}", vec![("A", "b, c"), ("D", "e")]),
            ("{\"A\":\"b\"}", vec![("A", "b")]),
            ("A: b\nC: d", vec![("A", "b"), ("C", "d")]),
            ("\"A\": b", vec![("A", "b")]),
            (
                "A: |\n  one\n  two\nB: x",
                vec![("A", "one\ntwo\n"), ("B", "x")],
            ),
            (
                "A: 1.10\nB: 0755\nC: yes\nD: 1e3\nE: ''\nF: 0x10",
                vec![
                    ("A", "1.10"),
                    ("B", "0755"),
                    ("C", "yes"),
                    ("D", "1e3"),
                    ("E", ""),
                    ("F", "0x10"),
                ],
            ),
            (
                "SET:\nEMPTY: ~",
                vec![("SET", "from = outside"), ("EMPTY", "")],
            ),
            ("A: x=y", vec![("A", "x=y")]),
            ("A: $UNSET", vec![("A", "$UNSET")]),
            ("A: &a b\nC: *a", vec![("A", "b"), ("C", "b")]),
        ] {
            assert_eq!(pairs(value), owned(&expected), "{value:?}");
        }
    }

    #[test]
    fn each_invalid_entry_is_reported() {
        let no_name = |entry: &str| PairFault::NoName {
            entry: entry.into(),
        };
        let absent = |entry: &str| PairFault::NotInEnvironment {
            entry: entry.into(),
        };
        for (value, expected) in [
            ("=b", vec![no_name("entry 1")]),
            (
                "A=b\n- C=d\n\"E=f\"",
                vec![no_name("entry 2"), no_name("entry 3")],
            ),
            ("A =b", vec![no_name("entry 1")]),
            ("export A=b", vec![no_name("entry 1")]),
            ("--build-arg A=b", vec![no_name("entry 1")]),
            ("[\"A=b\"]", vec![no_name("entry 1")]),
            ("1A=b", vec![no_name("entry 1")]),
            ("ABSENT", vec![absent("`ABSENT`")]),
            (
                "LITERAL\nABSENT: x",
                vec![absent("`LITERAL`"), no_name("entry 2")],
            ),
            ("A=first\nsecondHalfOfASecret", vec![absent("entry 2")]),
            (
                "\0ABSENT\0A B",
                vec![absent("`ABSENT`"), no_name("entry 2")],
            ),
            ("A: b\nabsent:", vec![absent("entry 2")]),
            ("{1A: b}", vec![no_name("entry 1")]),
        ] {
            assert_eq!(read(value, environment), Err(expected), "{value:?}");
        }
    }

    #[test]
    fn an_invalid_mapping_is_reported_with_its_position() {
        for value in [
            "{A: b",
            "{A: [b]}",
            "{A: {b: c}}",
            "A: [b]",
            "A:\n  b: c",
            "A: b\nC",
            "A: b\n---\nA: c",
            "A: 'b",
            "A: b\n\tC: d",
            "{A}: b",
            "A: b\n<<: {C: d}",
        ] {
            let faults = read(value, environment).expect_err(value);
            assert!(
                matches!(faults.as_slice(), [PairFault::Yaml { .. }]),
                "{value:?}: {faults:?}"
            );
        }
        assert_eq!(
            read("A: b\nC: [d]", environment),
            Err(vec![PairFault::Yaml {
                position: Some((2, 4))
            }])
        );
    }

    #[test]
    fn names_that_are_read_from_the_environment_are_known() {
        assert_eq!(inherited_names("A=b\nTAG\nC"), ["TAG", "C"]);
        assert_eq!(inherited_names("{A: b, TAG: }"), ["TAG"]);
        assert_eq!(inherited_names("{A"), [""; 0]);
    }

    #[test]
    fn the_expansion_of_aliases_is_limited() {
        let long = format!("A: &a {}\n", "x".repeat(50_000));
        let aliases: Vec<_> = (0..500).map(|index| format!("B{index}: *a\n")).collect();
        assert!(read(&long, environment).is_ok());
        let faults = read(&(long + &aliases.concat()), environment).unwrap_err();
        assert!(
            matches!(&faults[..], [PairFault::Yaml { .. }]),
            "{faults:?}"
        );
    }

    #[test]
    fn names_of_any_characters_are_read_from_every_form() {
        let read = |value: &str| {
            let named = freely_named(value).unwrap().into_iter();
            let named =
                named.map(|(name, value)| format!("{name}|{}", value.unwrap_or("-".into())));
            named.collect::<Vec<_>>()
        };
        for (value, expected) in [
            ("org.x/y=a: b", vec!["org.x/y|a: b"]),
            ("org.x/y: a=b\nz: c", vec!["org.x/y|a=b", "z|c"]),
            (
                "index,manifest[linux/amd64]:org.x: a",
                vec!["index,manifest[linux/amd64]:org.x|a"],
            ),
            ("\"index:x\": a", vec!["index:x|a"]),
            ("index:x=a", vec!["index:x|a"]),
            ("index:x=", vec!["index:x|"]),
            ("name", vec!["name|-"]),
            ("name:\nother: 1.10", vec!["name|-", "other|1.10"]),
            ("{a/b: c}", vec!["a/b|c"]),
            ("\0a: b=c", vec!["a: b|c"]),
        ] {
            assert_eq!(read(value), expected, "{value:?}");
        }
        assert!(freely_named("a: [b]").is_err());
    }

    proptest! {
        #[test]
        fn any_value_passes_unchanged_through_an_array(value in "[^\0]{0,40}") {
            prop_assert_eq!(read(&format!("\0NAME={value}"), environment), Ok(owned(&[("NAME", &value)])));
        }

        #[test]
        fn any_line_passes_unchanged_through_a_text(value in "[^\0\r\n]{0,40}") {
            prop_assert_eq!(read(&format!("NAME={value}\nB=c"), environment), Ok(owned(&[("NAME", &value), ("B", "c")])));
        }

        #[test]
        fn any_text_passes_unchanged_through_yaml(value in "\\PC{0,40}") {
            let yaml = serde_yaml::to_string(&std::collections::BTreeMap::from([("NAME", &value)])).unwrap();
            prop_assert_eq!(read(&yaml, environment), Ok(owned(&[("NAME", &value)])), "{}", yaml);
        }

        #[test]
        fn no_text_panics_and_no_value_is_shown(text in "([A-Z]{1,3}(=|: |:|)|[{}\\[\\]&*\"'|>\n ,-]|s3cret){0,12}") {
            if let Err(faults) = read(&text, environment) {
                prop_assert!(!format!("{faults:?}").contains("s3cret"), "{:?}", faults);
            }
        }
    }
}
