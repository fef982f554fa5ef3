//! What Unicode says of characters, as far as files are hurt by it: what nobody sees, and what looks the same.

use std::cmp::Ordering;

use icu_normalizer::ComposingNormalizer;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

/// Whether a character takes part in a text without being seen: format characters (zero width, direction, soft hyphen, byte
/// order mark, tags), and the letters and marks that Unicode made to be blank.
pub(in crate::input) fn is_invisible(character: char) -> bool {
    const BLANK: [char; 6] = ['\u{34f}', '\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];
    !character.is_ascii()
        && (BLANK.contains(&character)
            || CodePointMapData::<GeneralCategory>::new().get(character) == GeneralCategory::Format)
}

/// Whether a character ends a line, wherever a file comes from.
pub(in crate::input) const fn is_line_break(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// A text in the form in which texts are the same that differ only in case or width (compatibility composition, case
/// folding).
pub(crate) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let normalizer = ComposingNormalizer::new_nfkc();
    // Upper case first, so that what becomes several letters there does so on both sides: ß and SS.
    let folded = normalizer.normalize(text).to_uppercase().to_lowercase().replace('ς', "σ");
    normalizer.normalize(&folded).into_owned()
}

/// Compares two texts in that form. Of ASCII, as most are, nothing is made anew.
pub(crate) fn compare_folded(one: &str, other: &str) -> Ordering {
    if one.is_ascii() && other.is_ascii() {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        return one.bytes().map(lower).cmp(other.bytes().map(lower));
    }
    folded(one).cmp(&folded(other))
}

/// Whether two texts are the same in that form.
pub(crate) fn is_same_folded(one: &str, other: &str) -> bool {
    compare_folded(one, other).is_eq()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_invisible() {
        for character in ['\u{ad}', '\u{200b}', '\u{200d}', '\u{202e}', '\u{2060}', '\u{feff}', '\u{e0041}', '\u{3164}']
        {
            assert!(is_invisible(character), "{character:?}");
        }
        for character in ['a', ' ', '\u{a0}', 'é', '\u{301}', '漢', '😀', '-'] {
            assert!(!is_invisible(character), "{character:?}");
        }
    }

    #[test]
    fn case_and_width_fold() {
        for (one, other) in [
            ("Marketing", "MARKETING"),
            ("Größe", "GRÖSSE"),
            ("Gro\u{308}ße", "größe"),
            ("Ｔｉｅｒ０", "tier0"),
            ("ΟΔΟΣ", "οδος"),
            ("ﬁle", "FILE"),
            ("Ring²", "RING2"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        for (one, other) in [("Tier 0", "Tier0"), ("Ring A", "Ring B"), ("Größe", "Grosse"), ("é", "e")] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
    }
}
