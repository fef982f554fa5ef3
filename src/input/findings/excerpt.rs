//! Pieces of the input that people are shown: short, and harmless on a terminal.

use std::fmt;

use crate::outside::Outside;

/// The most characters of a cell that a message shows.
const SHOWN_CHARACTERS: usize = 60;

/// The beginning of a text from the input.
///
/// Shown, it has at most 60 characters, then `…` if there were more, and the harm taken out of it ([`Outside::line`]), so
/// that a file cannot speak to the terminal or pass for another text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// Keeps what will be shown, and one character more if there is one, to know that it was cut.
    pub fn new(text: &str) -> Self {
        let end = text.char_indices().nth(SHOWN_CHARACTERS + 1).map_or(text.len(), |(position, _)| position);
        Self(text.get(..end).unwrap_or(text).into())
    }

    /// What a cell holds, as the end of a sentence.
    pub(super) fn held(&self) -> String {
        if self.0.is_empty() { "is empty".to_owned() } else { format!("holds \"{self}\"") }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.char_indices().nth(SHOWN_CHARACTERS);
        let (end, sign) = cut.map_or((self.0.len(), ""), |(end, _)| (end, "…"));
        write!(formatter, "{}{sign}", Outside::new(self.0.get(..end).unwrap_or_default()).line())
    }
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
