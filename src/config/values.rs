//! Rules for values, the same for every variable.

/// Precedes each entry of an array in its joined text.
///
/// Environment variables cannot contain this character, so arrays and texts cannot be confused.
pub(super) const ENTRY_MARK: char = '\0';

/// Whether the value is set. Empty values, white space, and references to unset variables, which Bitbucket passes
/// unchanged, are treated as unset.
pub(super) fn is_set(value: &str) -> bool {
    let value = value.trim();
    !value.is_empty() && !is_variable_name(value)
}

/// Whether the value is exactly `$NAME` or `${NAME}`: a reference that Bitbucket did not replace.
fn is_variable_name(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('$') else {
        return false;
    };
    let braced = rest
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let name = braced.unwrap_or(rest);
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Parses the eight words for true and false, in upper or lower case.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The entries of an array, or the lines of a text.
pub(super) fn entries(value: &str) -> impl Iterator<Item = &str> {
    let (array, lines) = match value.strip_prefix(ENTRY_MARK) {
        Some(array) => (Some(array.split(ENTRY_MARK)), None),
        None => (None, Some(value.lines())),
    };
    let entries = array
        .into_iter()
        .flatten()
        .chain(lines.into_iter().flatten());
    entries.filter(|entry| is_set(entry))
}

/// The entries of a list whose entries contain neither commas nor white space.
pub(super) fn words(value: &str) -> impl Iterator<Item = &str> {
    let separates =
        |character: char| character == ENTRY_MARK || character == ',' || character.is_whitespace();
    value.split(separates).filter(|word| is_set(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_to_unset_variables_are_treated_as_unset() {
        for value in [
            "", " ", "\n\t", "$NAME", "${NAME}", " $NAME\n", "$_", "${a1}", "$name",
        ] {
            assert!(!is_set(value), "{value:?}");
        }
        for value in [
            "0",
            "false",
            "$",
            "${}",
            "$1",
            "${1A}",
            "$$",
            "$NAME-",
            "$NAME:1",
            "x$NAME",
            "${NAME",
            "$NAME}",
            "$A$B",
            "$A B",
            "\\$NAME",
            "'$NAME'",
            "${NAME:-x}",
            "$Ä",
        ] {
            assert!(is_set(value), "{value:?}");
        }
    }

    #[test]
    fn booleans_have_eight_words_in_any_case() {
        for value in [
            "true", "True", "TRUE", "yes", "Yes", "on", "ON", "1", " true\n",
        ] {
            assert_eq!(boolean(value), Some(true), "{value:?}");
        }
        for value in ["false", "False", "no", "NO", "off", "Off", "0"] {
            assert_eq!(boolean(value), Some(false), "{value:?}");
        }
        for value in ["t", "y", "2", "01", "enabled", "tru e", "'true'", "null"] {
            assert_eq!(boolean(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_text_has_an_entry_a_line_and_an_array_has_its_own() {
        let read = |value: &'static str| entries(value).collect::<Vec<_>>();
        assert_eq!(read("a\r\nb c, d\n\n$UNSET\n e"), ["a", "b c, d", " e"]);
        assert_eq!(read("\0a\nb\0\0${UNSET}\0c"), ["a\nb", "c"]);
        assert_eq!(read("\0a"), ["a"]);
        assert_eq!(read(""), [""; 0]);
    }

    #[test]
    fn words_are_separated_by_commas_and_white_space() {
        let read = |value: &'static str| words(value).collect::<Vec<_>>();
        assert_eq!(read(" a,b  c\n,d\t$UNSET ,"), ["a", "b", "c", "d"]);
        assert_eq!(read("\0a b\0c,d\0"), ["a", "b", "c", "d"]);
        assert_eq!(read(" , "), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_joined_array_is_split_into_its_entries(array in prop::collection::vec("[^\0]{0,12}", 0..8)) {
            let joined: String = array.iter().flat_map(|entry| [String::from(ENTRY_MARK), entry.clone()]).collect();
            let set: Vec<&str> = array.iter().map(String::as_str).filter(|entry| is_set(entry)).collect();
            prop_assert_eq!(entries(&joined).collect::<Vec<_>>(), set);
        }

        #[test]
        fn words_of_any_text_contain_no_separator(text in "\\PC{0,60}") {
            for word in words(&text) {
                prop_assert!(is_set(word) && !word.contains([',', ' ', '\n']));
            }
        }

        #[test]
        fn a_boolean_is_the_same_with_white_space_around_and_in_any_case(text in "[a-zA-Z0-9]{0,6}") {
            prop_assert_eq!(boolean(&text), boolean(&format!(" {}\n", text.to_uppercase())));
        }
    }
}
