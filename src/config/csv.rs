//! Lists of `key=value` in one line of CSV, as buildx takes them: `type=registry,ref=acme/app`.
//!
//! The quoting is that of Go's `encoding/csv`: a field that contains a comma or a quote is written in double quotes, and a
//! quote in it is doubled.

/// Why a text is not a line of CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CsvFault {
    /// A quote inside of a field without quotes.
    StrayQuote,
    /// Text between a closing quote and the next comma.
    TextAfterQuote,
    /// A field whose quote is not closed.
    OpenQuote,
    /// A line break outside of quotes.
    SecondLine,
}

impl CsvFault {
    /// The problem, which follows "it".
    pub(super) fn problem(self) -> &'static str {
        match self {
            Self::StrayQuote => {
                "has a quote in the middle of a part: put quotes around the whole part"
            }
            Self::TextAfterQuote => "has text between a closing quote and the next comma",
            Self::OpenQuote => "has a quote that is not closed",
            Self::SecondLine => "has more than one line",
        }
    }
}

/// The fields of one line.
pub(super) fn fields(text: &str) -> Result<Vec<String>, CsvFault> {
    let mut fields = Vec::new();
    let mut rest = text.trim_end_matches(['\r', '\n']);
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A field without quotes, and the text after its comma.
fn plain_field(text: &str) -> Result<(String, Option<&str>), CsvFault> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err(CsvFault::StrayQuote);
    }
    if field.contains(['\r', '\n']) {
        return Err(CsvFault::SecondLine);
    }
    Ok((field.to_owned(), after))
}

/// A field whose opening quote is removed, and the text after its comma.
fn quoted_field(text: &str) -> Result<(String, Option<&str>), CsvFault> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or(CsvFault::OpenQuote)?;
        field.push_str(part);
        if let Some(after) = after.strip_prefix('"') {
            field.push('"');
            rest = after;
            continue;
        }
        return match after.strip_prefix(',') {
            Some(after) => Ok((field, Some(after))),
            None if after.is_empty() => Ok((field, None)),
            None => Err(CsvFault::TextAfterQuote),
        };
    }
}

/// One line with these fields `key=value`, quoted where necessary.
pub(super) fn line<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let fields = pairs.into_iter().map(|(key, value)| {
        let field = format!("{key}={value}");
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

    #[test]
    fn a_line_is_split_at_commas_outside_of_quotes() {
        for (text, expected) in [
            ("", vec![""]),
            ("a=b", vec!["a=b"]),
            ("a=b,c=d\n", vec!["a=b", "c=d"]),
            ("a=b,,c", vec!["a=b", "", "c"]),
            ("a,", vec!["a", ""]),
            ("\"a=b,c\",d", vec!["a=b,c", "d"]),
            ("\"a=\"\"b\"\"\"", vec!["a=\"b\""]),
            ("\"a=\nb\",c", vec!["a=\nb", "c"]),
            (" a = b ", vec![" a = b "]),
        ] {
            assert_eq!(fields(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn wrong_quotes_are_errors() {
        for (text, fault) in [
            ("a=\"b\"", CsvFault::StrayQuote),
            (" \"a\"", CsvFault::StrayQuote),
            ("\"a\"b,c", CsvFault::TextAfterQuote),
            ("\"a\" ,c", CsvFault::TextAfterQuote),
            ("a,\"b", CsvFault::OpenQuote),
            ("\"a\"\"", CsvFault::OpenQuote),
            ("a\nb", CsvFault::SecondLine),
        ] {
            assert_eq!(fields(text), Err(fault), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_pair_passes_unchanged_through_a_line(
            pairs in prop::collection::vec(("[a-z-]{1,8}", "[^\r\n]{0,12}"), 1..5),
        ) {
            let borrowed = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let expected: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
            prop_assert_eq!(fields(&line(borrowed)), Ok(expected));
        }

        #[test]
        fn no_text_panics(text in "[a\",\r\n=]{0,16}") {
            let _either = fields(&text);
        }
    }
}
