//! Finds single texts in the XML of Amazon's older services.
//!
//! The elements contain only text, and their names are unique in a response, so no XML parser is needed. Other elements are
//! not found.

/// The text of the first element with this name; `None` if it does not exist or contains elements.
pub(crate) fn text(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    if text.contains('<') {
        return None;
    }
    let plain = text
        .trim()
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#39;", "'")
        .replace("&#34;", "\"")
        // Last, so that `&amp;lt;` becomes `&lt;`.
        .replace("&amp;", "&");
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_text_of_a_name_is_found() {
        let xml = "<A><Code>Expired</Code><Message>a &amp;lt; &quot;b&quot;</Message><Empty></Empty><Nest><B>x</B></Nest></A>";
        assert_eq!(text(xml, "Code").as_deref(), Some("Expired"));
        assert_eq!(text(xml, "Message").as_deref(), Some("a &lt; \"b\""));
        assert_eq!(text(xml, "Empty").as_deref(), Some(""));
        for name in ["Nest", "C", "A"] {
            assert_eq!(text(xml, name), None, "{name}");
        }
        assert_eq!(text("<Code>cut", "Code"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(xml in "(<A>|</A>|<B/>|&amp;|é|x){0,12}") {
            let _either = text(&xml, "A");
        }
    }
}
