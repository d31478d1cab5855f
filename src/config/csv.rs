//! One line of comma-separated values, as buildx reads the entries of `--output` and `--cache-to`.
//!
//! The quoting rules are those of Go's `encoding/csv`: a field that starts with `"` ends at the next single `"`, and `""` in it
//! is a quote. A field without quotes at its start contains none. White space is part of a field, except around the entry.
//!
//! Values can be secrets, so a fault shows only the place of a field, counted from 1.

/// Why an entry cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsvFault {
    /// A `"` after the start of a field without quotes.
    #[error(
        "field {0} contains a `\"`; put the whole field in quotes and double each quote inside it"
    )]
    BareQuote(usize),
    /// Text between the closing quote and the comma.
    #[error("field {0} continues after its closing quote; double each quote inside a quoted field")]
    AfterQuote(usize),
    /// The closing quote is missing.
    #[error("field {0} has no closing quote")]
    OpenQuote(usize),
    /// A line break outside of quotes.
    #[error("field {0} contains a line break; write each entry on its own line")]
    LineBreak(usize),
    /// A field without `=`.
    #[error("field {0} is not of the form `name=value`")]
    NoValue(usize),
    /// A field that starts with `=`.
    #[error("field {0} has no name before its `=`")]
    NoName(usize),
}

/// The fields of an entry, without their quotes. At least one.
///
/// # Errors
/// The quotes are wrong, or the entry has several lines.
pub(crate) fn record(entry: &str) -> Result<Vec<String>, CsvFault> {
    let mut fields = Vec::new();
    let mut rest = entry.trim();
    loop {
        let number = fields.len() + 1;
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, number)?,
            None => plain_field(rest, number)?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// The fields of an entry as names and values, in order. Names are in lower case and without white space around them.
///
/// # Errors
/// See [`record`]; also for a field without a name or without `=`.
pub(crate) fn fields(entry: &str) -> Result<Vec<(String, String)>, CsvFault> {
    let record = record(entry)?.into_iter().enumerate();
    let pairs = record.map(|(index, field)| {
        let (name, value) = field.split_once('=').ok_or(CsvFault::NoValue(index + 1))?;
        let name = name.trim().to_lowercase();
        if name.is_empty() {
            return Err(CsvFault::NoName(index + 1));
        }
        Ok((name, value.to_owned()))
    });
    pairs.collect()
}

/// A field without quotes, and the text after its comma.
fn plain_field(text: &str, number: usize) -> Result<(String, Option<&str>), CsvFault> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err(CsvFault::BareQuote(number));
    }
    if field.contains(['\n', '\r']) {
        return Err(CsvFault::LineBreak(number));
    }
    Ok((field.to_owned(), after))
}

/// A field in quotes, and the text after its comma. `text` follows the opening quote.
fn quoted_field(text: &str, number: usize) -> Result<(String, Option<&str>), CsvFault> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or(CsvFault::OpenQuote(number))?;
        // Like Go's reader, which normalizes line ends.
        field.push_str(&part.replace("\r\n", "\n"));
        if let Some(after) = after.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if after.is_empty() {
            return Ok((field, None));
        } else {
            let after = after.strip_prefix(',');
            return Ok((field, Some(after.ok_or(CsvFault::AfterQuote(number))?)));
        }
    }
}

/// An entry of these names and values, quoted where necessary.
pub(super) fn entry<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let fields = pairs.into_iter().map(|(name, value)| {
        let field = format!("{name}={value}");
        if field.contains([',', '"', '\r', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field
        }
    });
    fields.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(entry: &str) -> Vec<String> {
        record(entry).unwrap()
    }

    #[test]
    fn fields_are_separated_by_commas_outside_of_quotes() {
        assert_eq!(read("a"), ["a"]);
        assert_eq!(read(" a, b ,c\n"), ["a", " b ", "c"]);
        assert_eq!(read(",a,"), ["", "a", ""]);
        assert_eq!(read(""), [""]);
        assert_eq!(
            read(r#""type=tar","dest=a,b ""c""",x"#),
            ["type=tar", "dest=a,b \"c\"", "x"]
        );
        assert_eq!(read("\"\""), [""]);
        assert_eq!(read("\"a\r\nb\",c"), ["a\nb", "c"]);
    }

    #[test]
    fn names_are_in_lower_case_and_values_unchanged() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            fields("Type=Local, DEST = Out=1 ,\"note=a,b\"").unwrap(),
            [
                pair("type", "Local"),
                pair("dest", " Out=1 "),
                pair("note", "a,b")
            ]
        );
        assert_eq!(fields("a=").unwrap(), [pair("a", "")]);
    }

    #[test]
    fn a_wrong_entry_is_reported_with_the_place_of_the_field() {
        for (entry, fault) in [
            ("type=tar,dest=a\"b", CsvFault::BareQuote(2)),
            ("\"a", CsvFault::OpenQuote(1)),
            ("a=1,\"b=\"\"", CsvFault::OpenQuote(2)),
            ("\"a\"b", CsvFault::AfterQuote(1)),
            ("\"a\" ,b", CsvFault::AfterQuote(1)),
            ("a=1\nb=2", CsvFault::LineBreak(1)),
            ("a=1,b", CsvFault::NoValue(2)),
            ("a=1,", CsvFault::NoValue(2)),
            ("a=1,=b", CsvFault::NoName(2)),
            ("", CsvFault::NoValue(1)),
        ] {
            assert_eq!(fields(entry), Err(fault), "{entry:?}");
            let shown = fault.to_string();
            assert!(shown.starts_with("field "), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn quoted_fields_are_read_back(written in prop::collection::vec("[^\r]{0,12}", 1..6)) {
            let quote = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let entry = written.iter().map(quote).collect::<Vec<_>>().join(",");
            prop_assert_eq!(read(&entry), written);
        }

        #[test]
        fn any_pair_is_read_back_from_an_entry(
            pairs in prop::collection::vec(("[a-z-]{1,8}", "[^\r\n]{0,12}x"), 1..5),
        ) {
            let borrowed = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            prop_assert_eq!(fields(&entry(borrowed)), Ok(pairs));
        }

        #[test]
        fn fields_without_quotes_and_line_breaks_are_those_between_commas(entry in "[^\"\r\n]{0,40}") {
            let expected: Vec<_> = entry.trim().split(',').map(str::to_owned).collect();
            prop_assert_eq!(read(&entry), expected);
        }

        #[test]
        fn no_entry_panics_and_a_fault_shows_no_part_of_it(entry in "\\PC{0,40}|[\",=\n\r ab]{0,20}") {
            match fields(&entry) {
                Ok(pairs) => for (name, _) in pairs {
                    prop_assert!(!name.is_empty());
                    prop_assert_eq!(&name, &name.trim().to_lowercase());
                },
                Err(fault) => prop_assert!(fault.to_string().starts_with("field ")),
            }
        }
    }
}
