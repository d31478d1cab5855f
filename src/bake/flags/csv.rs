//! Comma-separated values, with the rules of Go's `encoding/csv`.

use crate::Error;

/// The fields of the first record of a text.
pub(crate) fn fields(text: &str) -> Result<Vec<String>, Error> {
    let record = Records::new(text).next();
    let record = record.unwrap_or_else(|| Err(Error::new("it is empty")));
    record.map_err(|error| invalid(text, &error))
}

/// The fields of a text that is one line. Other line ends than that at its end are part of a field, as in the CLI's values of variables.
pub(crate) fn line_fields(text: &str) -> Result<Vec<String>, Error> {
    let line = match text.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line),
        None => text,
    };
    let fields = if line.is_empty() {
        Err(Error::new("it is empty"))
    } else {
        record(line, &[','])
    };
    fields
        .map(|(fields, _)| fields)
        .map_err(|error| invalid(text, &error))
}

fn invalid(text: &str, error: &Error) -> Error {
    let problem = error.message();
    Error::new(format!(
        "`{text}` is not a list of comma-separated values: {problem}"
    ))
}

/// The records of a text. Empty lines are none.
pub(crate) struct Records {
    text: String,
    /// The start of the next record.
    start: usize,
}

impl Records {
    pub(crate) fn new(text: &str) -> Self {
        let mut text = text.replace("\r\n", "\n");
        if text.ends_with('\r') {
            text.pop();
        }
        Self { text, start: 0 }
    }
}

impl Iterator for Records {
    type Item = Result<Vec<String>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.start..)?.trim_start_matches('\n');
        if rest.is_empty() {
            return None;
        }
        let result = record(rest, &[',', '\n']);
        // After an error, nothing follows.
        self.start = result
            .as_ref()
            .map_or(self.text.len(), |(_, after)| self.text.len() - after.len());
        Some(result.map(|(fields, _)| fields))
    }
}

/// Reads a record, of which the text is not empty, and returns the text after it. The characters of `ends` end a field without quotes.
fn record<'a>(text: &'a str, ends: &[char]) -> Result<(Vec<String>, &'a str), Error> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, ends)?,
            None => plain_field(rest, ends)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok((fields, after)),
        }
    }
}

fn plain_field<'a>(text: &'a str, ends: &[char]) -> Result<(String, &'a str), Error> {
    let end = text.find(ends).unwrap_or(text.len());
    let (field, after) = text.split_at(end);
    if field.contains('"') {
        return Err(Error::new("a quote is inside of a value without quotes"));
    }
    Ok((field.to_owned(), after))
}

/// The content of a field up to its closing quote, and the text after it. Two quotes stand for one.
fn quoted_field<'a>(text: &'a str, ends: &[char]) -> Result<(String, &'a str), Error> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest
            .split_once('"')
            .ok_or_else(|| Error::new("a quote is not closed"))?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None if after.is_empty() || after.starts_with(ends) => {
                return Ok((field, after));
            }
            None => return Err(Error::new("text follows a closing quote")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_as_in_go() {
        for (text, expected) in [
            ("a", Some(vec!["a"])),
            ("a,b=c", Some(vec!["a", "b=c"])),
            ("a,,", Some(vec!["a", "", ""])),
            (r#""a,b",c"#, Some(vec!["a,b", "c"])),
            (r#""a""b""#, Some(vec!["a\"b"])),
            ("a\nb", Some(vec!["a"])),
            ("\r\n\na\r\n", Some(vec!["a"])),
            (r#"a"b"#, None),
            (r#""a"#, None),
            (r#""a"b"#, None),
            ("", None),
        ] {
            let expected =
                expected.map(|fields| fields.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(fields(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_value_of_one_line_can_contain_line_ends() {
        for (text, expected) in [
            ("a\nb", Some(vec!["a\nb"])),
            ("a,b\r\n", Some(vec!["a", "b"])),
            ("a\r\nb,c\n\n", Some(vec!["a\r\nb", "c\n"])),
            ("\"a\nb\",c", Some(vec!["a\nb", "c"])),
            ("a,", Some(vec!["a", ""])),
            ("\"a\"\nb", None),
            ("a\nb\"", None),
            ("\n", None),
            ("", None),
        ] {
            let expected =
                expected.map(|fields| fields.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(line_fields(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn records_are_lines_and_quotes_hold_them_together() {
        let records: Result<Vec<_>, _> = Records::new("a,b\r\n\n\"1\r\n2\",3\n").collect();
        assert_eq!(records.unwrap(), [["a", "b"], ["1\n2", "3"]]);
        assert!(Records::new("a\n\"").nth(1).unwrap().is_err());
        assert!(Records::new("\n\r").next().is_none());
    }
}
