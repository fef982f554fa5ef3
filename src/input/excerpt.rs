//! Pieces of the input that people are shown: short, and harmless on a terminal.

use std::fmt::{self, Write as _};

/// The most characters of a cell that a message shows.
const SHOWN_CHARACTERS: usize = 60;

/// The beginning of a text from the input.
///
/// Shown, it has at most 60 characters, then `…` if there were more. Control characters, line breaks and characters
/// that are invisible or turn the direction of writing are shown as `\u{…}`, so that a file cannot speak to the
/// terminal or pass for another text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// Keeps what will be shown, and one character more if there is one, to know that it was cut.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let end = text.char_indices().nth(SHOWN_CHARACTERS + 1).map_or(text.len(), |(position, _)| position);
        Self(text.get(..end).unwrap_or(text).into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(SHOWN_CHARACTERS) {
            if is_shown_as_it_is(character) {
                formatter.write_char(character)?;
            } else {
                write!(formatter, "{}", character.escape_unicode())?;
            }
        }
        if characters.next().is_some() { formatter.write_char('…') } else { Ok(()) }
    }
}

fn is_shown_as_it_is(character: char) -> bool {
    let is_unusual_space = character.is_whitespace() && character != ' ';
    // Unicode's format characters that a cell can plausibly hold: soft hyphen, zero width, direction, byte order
    // mark, interlinear and tag characters.
    let is_invisible = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    !(character.is_control() || is_unusual_space || is_invisible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_cannot_speak_to_the_terminal() {
        let sixty = "ü".repeat(60);
        let table = [
            ("Größe \"A\\B\" '1'", "Größe \"A\\B\" '1'".to_owned()),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}".to_owned()),
            ("a\r\nb\tc\0", "a\\u{d}\\u{a}b\\u{9}c\\u{0}".to_owned()),
            ("a\u{85}\u{a0}\u{2028}b", "a\\u{85}\\u{a0}\\u{2028}b".to_owned()),
            ("\u{202e}abc\u{200b}\u{feff}", "\\u{202e}abc\\u{200b}\\u{feff}".to_owned()),
            ("e\u{301}", "e\u{301}".to_owned()),
            (&sixty, sixty.clone()),
            (&format!("{sixty}x"), format!("{sixty}…")),
            (&format!("{sixty}xyz"), format!("{sixty}…")),
        ];
        for (text, expected) in table {
            assert_eq!(Excerpt::new(text).to_string(), expected, "{text:?}");
        }
        assert_eq!(Excerpt::new(&"x".repeat(1_000_000)).0.len(), 61);
    }
}
