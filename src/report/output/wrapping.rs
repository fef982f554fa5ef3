//! Messages at the width of the terminal: what does not fit goes on below, set in, so that each message still begins where
//! the eye looks for it.

use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter};

/// A narrower terminal breaks lines itself.
const NARROWEST_COLUMNS: usize = 20;
/// How far a line that goes on is set in beyond the one that it belongs to.
const SET_IN: usize = 2;
/// So many blanks within a line are the gap between two columns.
const GAP: &str = "   ";
/// What stands before a message; the message goes on below itself.
const LABELS: [&str; 4] = ["error:", "hint:", "warning:", "note:"];
/// What follows is there to be copied whole.
const COPIED: [&str; 2] = ["Next: ", "tagfleet "];

/// A text at the width of a terminal, if that is known.
pub(super) fn wrapped_for(terminal: &console::Term, text: String) -> String {
    match terminal.size_checked() {
        Some((_rows, columns)) => wrapped(&text, usize::from(columns)),
        None => text,
    }
}

/// An item of a list at the width of a terminal, if that is known: what does not fit goes on below, so far set in.
pub(super) fn item_for(terminal: &console::Term, text: &str, set_in: usize) -> String {
    match terminal.size_checked() {
        Some((_rows, columns)) if usize::from(columns) > 2 * set_in => filled(text, usize::from(columns), "", set_in),
        _ => text.to_owned(),
    }
}

/// A text with its lines broken between words, so that none is wider. Columns of figures, what is there to be copied, and a
/// line that the next one points into stay whole.
fn wrapped(text: &str, width_columns: usize) -> String {
    if width_columns < NARROWEST_COLUMNS {
        return text.to_owned();
    }
    let mut lines = text.split('\n').peekable();
    let mut wrapped = Vec::new();
    while let Some(line) = lines.next() {
        let is_pointed_into = lines.peek().is_some_and(|next| is_pointer(next));
        if display_width(line) <= width_columns || is_pointed_into || is_kept_whole(line) {
            wrapped.push(line.to_owned());
        } else {
            wrapped.push(broken(line, width_columns));
        }
    }
    wrapped.join("\n")
}

fn is_pointer(line: &str) -> bool {
    line.contains('^') && line.trim().chars().all(|mark| mark == '^')
}

fn is_kept_whole(line: &str) -> bool {
    let text = line.trim_start();
    text.contains(GAP) || COPIED.iter().any(|beginning| text.starts_with(beginning))
}

fn broken(line: &str, width_columns: usize) -> String {
    let text = line.trim_start();
    let indentation = &line[..line.len() - text.len()];
    // A label may be coloured.
    let label = text.split(' ').next().unwrap_or_default();
    let is_label = LABELS.iter().any(|known| label.contains(known));
    let set_in = if is_label { display_width(label) + 1 } else { SET_IN };
    // After a question, its answer is typed.
    let end = &text[text.trim_end_matches(' ').len()..];
    filled(text, width_columns, indentation, indentation.len() + set_in) + end
}

fn filled(text: &str, width_columns: usize, indentation: &str, set_in: usize) -> String {
    let hanging = " ".repeat(set_in.min(width_columns / 2));
    let options = Options::new(width_columns)
        .initial_indent(indentation)
        .subsequent_indent(&hanging)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(text, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_goes_on_below_its_own_text() {
        let item = filled("√ token   app aaaa of tenant bbbb until noon", 24, "", 10);
        assert_eq!(item, "√ token   app aaaa of\n          tenant bbbb\n          until noon");
    }

    #[test]
    fn what_does_not_fit_goes_on_below() {
        let table = [
            ("It fits: twenty-four col", "It fits: twenty-four col"),
            ("This one does not fit at all", "This one does not fit at\n  all"),
            ("error: the file is not there any more", "error: the file is not\n       there any more"),
            ("  hint: look for it in the bin, too", "  hint: look for it in\n        the bin, too"),
            ("\u{1b}[31merror:\u{1b}[0m the file is away", "\u{1b}[31merror:\u{1b}[0m the file is away"),
            (
                "\u{1b}[31merror:\u{1b}[0m the file is not there",
                "\u{1b}[31merror:\u{1b}[0m the file is not\n       there",
            ),
            ("Two lines,\neach of which is judged alone", "Two lines,\neach of which is judged\n  alone"),
            ("A word-that-is-longer-than-a-line-is-not-broken", "A\n  word-that-is-longer-than-a-line-is-not-broken"),
            ("      4 succeeded      12 unchanged", "      4 succeeded      12 unchanged"),
            ("Next: tagfleet resume 20261126-030000-abcdef", "Next: tagfleet resume 20261126-030000-abcdef"),
            (
                "  where tag == 'a' and tag = 'b'\n                         ^",
                "  where tag == 'a' and tag = 'b'\n                         ^",
            ),
            ("", ""),
            ("Apply these changes? [y/N] ", "Apply these changes?\n  [y/N] "),
        ];
        for (text, expected) in table {
            assert_eq!(wrapped(text, 24), expected);
            assert_eq!(wrapped(text, 200), text);
            assert_eq!(wrapped(text, 0), text);
        }
    }
}
