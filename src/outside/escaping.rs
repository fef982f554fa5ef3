//! What a terminal obeys, or nobody can see, written so that everybody sees it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;

/// The colours and weights of our own texts, the manual's and the log's.
const OUR_COLORS: [&str; 11] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[3m",
    "\u{1b}[4m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[34m",
    "\u{1b}[35m",
    "\u{1b}[36m",
];

/// Whether a character can stand in a line as it is: it moves nothing, ends nothing, turns nothing, and is seen for what
/// it is, as a space that is none of the ordinary is not.
pub(crate) fn is_harmless(character: char) -> bool {
    // Unicode's line separators and the format characters that a text can plausibly hold: soft hyphen, zero width,
    // direction, byte order mark, interlinear and tag characters.
    let is_unseen = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    let is_unusual_space = character.is_whitespace() && character != ' ';
    !(character.is_control() || is_unusual_space || is_unseen)
}

/// A piece of one line: every other character as `\u{…}`.
pub(crate) fn line_escaped(text: &str) -> Cow<'_, str> {
    escaped(text, |_rest| 0, |escaped, character| write!(escaped, "{}", character.escape_unicode()))
}

/// A text of lines, as it goes to a terminal or a log: line breaks and tabs stay, and our own colours where there are any.
pub(crate) fn terminal_escaped(text: &str, has_colors: bool) -> Cow<'_, str> {
    let kept = |rest: &str| {
        let color = OUR_COLORS.iter().find(|color| has_colors && rest.starts_with(**color));
        color.map_or_else(|| usize::from(rest.starts_with(['\n', '\t'])), |color| color.len())
    };
    escaped(text, kept, |escaped, character| write!(escaped, "{}", character.escape_unicode()))
}

/// Lines of JSON, in which such characters can stand in strings only.
pub(crate) fn json_escaped(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |rest| usize::from(rest.starts_with('\n')),
        |escaped, character| {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(escaped, "\\u{unit:04x}"))
        },
    )
}

/// A path or another word that can be pasted into a shell.
pub(crate) fn shell_word(text: &(impl AsRef<OsStr> + ?Sized)) -> String {
    let text = text.as_ref().to_string_lossy();
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+:\\".contains(character);
    if text.chars().all(is_plain) {
        text.into_owned()
    } else if text.chars().all(is_harmless) {
        format!("'{}'", text.replace('\'', "'\\''"))
    } else {
        // The form of bash, zsh and ksh, which is also POSIX's since 2024.
        let quoted = text.replace('\\', "\\\\").replace('\'', "\\'");
        let byte_by_byte = |escaped: &mut String, character: char| {
            character.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(escaped, "\\x{byte:02x}"))
        };
        format!("$'{}'", escaped(&quoted, |_rest| 0, byte_by_byte))
    }
}

/// The text with each harmful character written otherwise, but for so many bytes as are kept at the beginning of what
/// follows.
fn escaped(
    text: &str,
    kept: impl Fn(&str) -> usize,
    write: impl Fn(&mut String, char) -> std::fmt::Result,
) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = if is_harmless(character) { character.len_utf8() } else { kept(rest) };
        let (stays, after) = rest.split_at(length);
        escaped.push_str(stays);
        rest = after;
        if length == 0 {
            // Writing into a string cannot fail.
            let _written = write(&mut escaped, character);
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_lines_keeps_its_line_breaks_and_our_colours_only() {
        let text = "\u{1b}[31merror:\u{1b}[0m a\n\u{1b}[2J\u{1b}]0;x\u{7}\r\u{85}b";
        let escaped = r"\u{1b}[2J\u{1b}]0;x\u{7}\u{d}\u{85}b";
        assert_eq!(terminal_escaped(text, true), format!("\u{1b}[31merror:\u{1b}[0m a\n{escaped}"));
        assert_eq!(terminal_escaped(text, false), format!(r"\u{{1b}}[31merror:\u{{1b}}[0m a{}{escaped}", '\n'));
        assert!(matches!(terminal_escaped("größe", false), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_of_json_stay_lines_of_json() {
        assert_eq!(
            json_escaped("{\"a\":\"\u{2028}\u{e0041}\u{9b}\"}\n{}\n"),
            "{\"a\":\"\\u2028\\udb40\\udc41\\u009b\"}\n{}\n"
        );
    }

    #[test]
    fn a_word_can_be_pasted_into_a_shell() {
        for (text, word) in [
            ("dir/x.csv", "dir/x.csv"),
            ("my file", "'my file'"),
            ("it's", r"'it'\''s'"),
            ("a\n'\\\u{2028}", r"$'a\x0a\'\\\xe2\x80\xa8'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
