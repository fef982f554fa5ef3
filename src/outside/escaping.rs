//! What a terminal obeys, or nobody can see, written so that everybody sees it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

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

/// How an escaped character begins.
const ESCAPE_START: &str = r"\u{";

/// Whether a character can stand in a line as it is: it moves nothing, ends nothing, turns nothing, and is seen for what
/// it is, as a space that is none of the ordinary is not.
pub(crate) fn is_harmless(character: char) -> bool {
    // Unicode's line separators and the format characters that a text can plausibly hold: soft hyphen, zero width,
    // direction, byte order mark, interlinear and tag characters; and letters that fill a place without a sign.
    let is_unseen = matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    let is_unusual_space = character.is_whitespace() && character != ' ';
    !(character.is_control() || is_unusual_space || is_unseen)
}

/// A piece of one line: every other character as `\u{…}`.
pub(crate) fn line_escaped(text: &str) -> Cow<'_, str> {
    escaped(text, |_rest| 0, |escaped, character| write!(escaped, "{}", character.escape_unicode()))
}

/// What [`line_escaped`] wrote, as it was before: each `\u{…}` that stands for a character is that character.
pub(crate) fn line_unescaped(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(ESCAPE_START) {
        unescaped.push_str(before);
        let escape = after.split_once('}').and_then(|(digits, after)| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_number)?;
            Some((char::from_u32(number)?, after))
        });
        match escape {
            Some((character, _)) => unescaped.push(character),
            None => unescaped.push_str(ESCAPE_START),
        }
        rest = escape.map_or(after, |(_, after)| after);
    }
    unescaped + rest
}

/// Has a text survive [`line_unescaped`] that holds by itself what looks like an escaped character.
pub(crate) fn line_unmistakable(text: &str) -> Cow<'_, str> {
    if text.contains(ESCAPE_START) { text.replace(ESCAPE_START, r"\u{5c}u{").into() } else { text.into() }
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
    // A backslash parts folders on Windows alone; a shell of POSIX takes it away.
    let plain = if cfg!(windows) { "/._-+:\\" } else { "/._-+:" };
    let is_plain = |character: char| character.is_alphanumeric() || plain.contains(character);
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

/// A path that can be pasted into a shell behind a command, which does not take it for an option.
pub(crate) fn shell_path(path: &Path) -> String {
    let is_like_an_option = path.as_os_str().as_encoded_bytes().starts_with(b"-");
    if is_like_an_option { shell_word(&Path::new(".").join(path)) } else { shell_word(path) }
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
    fn what_was_escaped_can_be_typed() {
        for text in ["Tier 0", "a\tb", "\u{200b}\u{feff}x\u{e0041}\u{3164}", "\u{a0}\\u{}", "\\"] {
            assert_eq!(line_unescaped(&line_escaped(text)), text, "{text:?}");
        }
        for text in [r"a\u{9}b", r"\u{5c}u{9}", r"\\u{9}", "Tier 0", "\t"] {
            assert_eq!(line_unescaped(&line_escaped(&line_unmistakable(text))), text, "{text:?}");
        }
        for (typed, text) in [(r"a\u{9}b", "a\tb"), (r"\u{0009}", "\t"), (r"\u{E9}", "é"), (r"\u{5c}u{9}", r"\u{9}")] {
            assert_eq!(line_unescaped(typed), text);
        }
        for no_character in [r"\u{d800}", r"\u{110000}", r"\u{zz}", r"\u{+9}", r"\u{}", r"\u{9", r"C:\users", r"\u9"] {
            assert_eq!(line_unescaped(no_character), no_character);
        }
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
            #[cfg(not(windows))]
            (r"a\b.csv", r"'a\b.csv'"),
            ("a\n'\\\u{2028}", r"$'a\x0a\'\\\xe2\x80\xa8'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
