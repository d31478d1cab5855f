//! One record of comma-separated values, with the rules of Go's `encoding/csv`.

use crate::Error;

/// The fields of the first record of a text.
pub(crate) fn fields(text: &str) -> Result<Vec<String>, Error> {
    let invalid = |problem: &str| {
        Error::new(format!(
            "`{text}` is not a list of comma-separated values: {problem}"
        ))
    };
    let text = text.trim_start_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(invalid("it is empty"));
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) =
                quoted_field(quoted).ok_or_else(|| invalid("a quote is not closed"))?;
            fields.push(field);
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None if after.is_empty()
                    || after.starts_with('\n')
                    || after.starts_with("\r\n") =>
                {
                    return Ok(fields);
                }
                None => return Err(invalid("text follows a closing quote")),
            }
        } else {
            let end = rest.find([',', '\n']).unwrap_or(rest.len());
            let (field, after) = rest.split_at(end);
            let field = if after.starts_with(',') {
                field
            } else {
                field.strip_suffix('\r').unwrap_or(field)
            };
            if field.contains('"') {
                return Err(invalid("a quote is inside of a value without quotes"));
            }
            fields.push(field.to_owned());
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None => return Ok(fields),
            }
        }
    }
}

/// The content of a field up to its closing quote, and the text after it. Two quotes stand for one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field.replace("\r\n", "\n"), after)),
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
}
