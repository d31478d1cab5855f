//! How values are read: the rules that hold for every variable.

/// Stands before each entry of an array once its entries are one text.
///
/// No environment variable can hold this character, so an array never reads as a text of lines, nor the reverse.
pub(super) const ENTRY_MARK: char = '\0';

/// False for what Bitbucket passes on where nothing was set: nothing, white space, or the name of the unset variable.
pub(super) fn is_given(value: &str) -> bool {
    let value = value.trim();
    !value.is_empty() && !is_variable_name(value)
}

/// Exactly `$NAME` or `${NAME}`: what is left where Bitbucket had nothing to put in.
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

/// The eight words for yes and no, in any case.
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
    entries.filter(|entry| is_given(entry))
}

/// The entries of a list whose entries hold neither commas nor white space.
pub(super) fn words(value: &str) -> impl Iterator<Item = &str> {
    let separates =
        |character: char| character == ENTRY_MARK || character == ',' || character.is_whitespace();
    value.split(separates).filter(|word| is_given(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_bitbucket_leaves_for_an_unset_variable_is_not_given() {
        for value in [
            "", " ", "\n\t", "$NAME", "${NAME}", " $NAME\n", "$_", "${a1}", "$name",
        ] {
            assert!(!is_given(value), "{value:?}");
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
            assert!(is_given(value), "{value:?}");
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
        fn an_array_gives_back_its_entries(array in prop::collection::vec("[^\0]{0,12}", 0..8)) {
            let joined: String = array.iter().flat_map(|entry| [String::from(ENTRY_MARK), entry.clone()]).collect();
            let given: Vec<&str> = array.iter().map(String::as_str).filter(|entry| is_given(entry)).collect();
            prop_assert_eq!(entries(&joined).collect::<Vec<_>>(), given);
        }

        #[test]
        fn words_of_any_text_hold_no_separator(text in "\\PC{0,60}") {
            for word in words(&text) {
                prop_assert!(is_given(word) && !word.contains([',', ' ', '\n']));
            }
        }

        #[test]
        fn a_boolean_is_the_same_with_white_space_around_and_in_any_case(text in "[a-zA-Z0-9]{0,6}") {
            prop_assert_eq!(boolean(&text), boolean(&format!(" {}\n", text.to_uppercase())));
        }
    }
}
