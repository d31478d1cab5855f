//! Characters that are not visible, or that change the direction or the lines of the text around them.
//!
//! In a log they can make a name, an address or a line of code look like another one ("Trojan Source", CVE-2021-42574).
//! They are printed as `\u{202e}`. Build output keeps those that scripts and emoji require, where they require them.

/// The origin of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A name, a path, an address, an error, a line of code.
    Name,
    /// The output of a build step.
    Output,
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const BLACK_FLAG: char = '\u{1f3f4}';

/// Whether a character may be printed only as its number: Unicode's default ignorable characters, interlinear annotation,
/// and the separators of lines and paragraphs.
pub(crate) fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether [`escaped`] can change this text.
pub(crate) fn has_hidden(text: &str) -> bool {
    !text.is_ascii() && text.contains(is_hidden)
}

/// Replaces the hidden characters of `text` by `\u{…}`.
pub(crate) fn escaped(text: String, origin: Origin) -> String {
    if !has_hidden(&text) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut before = None;
    for character in text.chars() {
        if !is_hidden(character) || is_needed(before, character, origin) {
            shown.push(character);
            before = Some(character);
        } else {
            shown.extend(character.escape_unicode());
            before = None;
        }
    }
    shown
}

/// Whether a hidden character belongs to the character before it, which was printed unchanged.
fn is_needed(before: Option<char>, character: char, origin: Origin) -> bool {
    let Some(before) = before else {
        return false;
    };
    let is_base = !before.is_ascii() && !is_hidden(before);
    let is_output = origin == Origin::Output;
    match character {
        // The form of an emoji, such as a red heart or a key.
        '\u{fe0e}' | '\u{fe0f}' => is_base || before.is_ascii_digit() || "#*".contains(before),
        // Emoji of several parts, and the scripts of India.
        ZERO_WIDTH_JOINER => is_output && (is_base || before == '\u{fe0f}'),
        // Persian, and the forms of Chinese characters.
        ZERO_WIDTH_NON_JOINER | '\u{e0100}'..='\u{e01ef}' => is_output && is_base,
        // The flags of England, Scotland and Wales.
        '\u{e0020}'..='\u{e007f}' => {
            is_output && matches!(before, BLACK_FLAG | '\u{e0020}'..='\u{e007e}')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (String, String) {
        let of = |origin| escaped(text.to_owned(), origin);
        (of(Origin::Name), of(Origin::Output))
    }

    #[test]
    fn invisible_characters_and_changes_of_direction_are_escaped_everywhere() {
        for character in "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200b}\u{200e}\u{200f}\
                          \u{61c}\u{2060}\u{2061}\u{2062}\u{2063}\u{2064}\u{206a}\u{feff}\u{ad}\u{2028}\u{2029}\u{3164}\
                          \u{e0001}\u{e0041}\u{fe00}\u{180e}"
            .chars()
        {
            let expected = format!("a\\u{{{:x}}}b", u32::from(character));
            let text = format!("a{character}b");
            assert_eq!(shown(&text), (expected.clone(), expected));
        }
        assert_eq!(shown("ä\u{202e}ß").1, "ä\\u{202e}ß");
    }

    #[test]
    fn scripts_and_emoji_stay_whole_in_output() {
        for text in [
            "plain",
            "größer 早 שלום مرحبا",
            "👩\u{200d}💻 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3}",
            "می\u{200c}خواهم",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "葛\u{e0100}",
        ] {
            assert_eq!(shown(text).1, text);
        }
        assert_eq!(shown("❤\u{fe0f}").0, "❤\u{fe0f}");
        // A name does not require joiners.
        assert_eq!(shown("👩\u{200d}💻").0, "👩\\u{200d}💻");
        // Other places do not require them.
        assert_eq!(shown("pass\u{200d}word").1, "pass\\u{200d}word");
        assert_eq!(shown("\u{200c}x").1, "\\u{200c}x");
        assert_eq!(shown("😀\u{fe0f}\u{fe0f}").1, "😀\u{fe0f}\\u{fe0f}");
        assert_eq!(shown("a\u{e0067}").1, "a\\u{e0067}");
    }
}
