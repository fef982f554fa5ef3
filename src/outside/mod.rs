//! Text from outside: from the service, files, the environment, the command line.
//!
//! Two things are done with such a text, and never mixed. It is judged, compared, planned and exported as it came
//! ([`Outside::exact`]); and it is shown, or stored for showing, by one of the ways out below, which mask secrets and
//! escape whatever a terminal obeys or a reader cannot see. So nothing that is masked is ever taken for data: a tag may
//! look like a token, or like the secret of this process, and stays that tag.
//!
//! What surprises: secrets are known to the whole process ([`secrets`]), since any text may repeat them, whoever shows
//! it. Masking comes after decoding, never before, since an encoding hides a secret from whoever looks for it. And a
//! secret that is an ordinary word is masked in what comes from outside, but not in what we or the user say ([`shown`]).

mod decoding;
#[cfg(any(test, fuzzing))]
pub(crate) mod disguises;
mod escaping;
mod files;
mod hashes;
mod masking;
mod pieces;
mod reading;
pub(crate) mod secrets;
mod wholes;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;

pub(crate) use escaping::{
    is_harmless, json_escaped, line_escaped, line_unescaped, line_unmistakable, shell_path, shell_word,
    terminal_escaped,
};
#[cfg(any(test, fuzzing))]
pub(crate) use files::text_of;
pub(crate) use files::{open_at_once, read_at_once, read_certificates, read_secret};
use masking::masked;
pub(crate) use masking::masked_ours;
use serde::{Deserialize, Deserializer};

/// How a cell begins that a spreadsheet would run, in plain and in full width.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A text from outside, as it came. It has no form of its own that could be shown by accident.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Outside<'text>(Cow<'text, str>);

impl<'text> Outside<'text> {
    /// Holds the text as it is.
    #[must_use]
    pub(crate) fn new(text: impl Into<Cow<'text, str>>) -> Self {
        Self(text.into())
    }

    /// The text for comparing, and for data.
    #[must_use]
    pub(crate) fn exact(&self) -> &str {
        &self.0
    }

    /// For a piece of a line that people read: without secrets, and without anything that ends the line, moves a cursor,
    /// turns the direction of writing or is invisible.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        line_escaped(&masked(&self.0)).into_owned()
    }

    /// For storing what people are to read later, or putting it among our own words: on one line, each run of white
    /// space one space, cut after so many characters. What is cut was masked before, so that no half secret is left.
    #[must_use]
    pub(crate) fn kept(&self, longest_characters: usize) -> Box<str> {
        // Joined before it is masked: no more than this space may stand between the halves of a secret.
        let joined = self.0.split_whitespace().collect::<Vec<_>>().join(" ");
        let masked = masked(&joined);
        let line = line_escaped(&masked);
        match line.char_indices().nth(longest_characters) {
            Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()).into(),
            None => line.into(),
        }
    }

    /// For a field of a JSON object that people read; [`json_document`] does the escaping.
    #[must_use]
    pub(crate) fn json(&self) -> String {
        masked(&self.0).into_owned()
    }

    /// For a cell that people read: a line that no spreadsheet takes for a formula.
    #[must_use]
    pub(crate) fn cell(&self) -> String {
        let line = self.line();
        // What ends a line would be escaped by now, but is no less a sign of a formula.
        if self.is_formula() { format!("'{line}") } else { line }
    }

    /// For a cell of data: exact, but for an apostrophe before what a spreadsheet would run.
    #[must_use]
    pub(crate) fn data_cell(&self) -> Cow<'_, str> {
        if self.is_formula() { format!("'{}", self.0).into() } else { Cow::Borrowed(&self.0) }
    }

    fn is_formula(&self) -> bool {
        self.0.starts_with(FORMULA_STARTS)
    }
}

impl fmt::Debug for Outside<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.line())
    }
}

impl<'de> Deserialize<'de> for Outside<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A name of a file, an argument or another text of the user's own among our own words: as [`Outside::line`], but that
/// it may hold a secret that could be a word. Whoever typed it sees what he typed.
#[must_use]
pub(crate) fn shown(text: &(impl AsRef<OsStr> + ?Sized)) -> String {
    line_escaped(&masked_ours(&text.as_ref().to_string_lossy())).into_owned()
}

/// An object for scripts, on a line of its own: its values are exact, and nothing in it moves a terminal.
#[must_use]
pub(crate) fn json_document(object: &serde_json::Value) -> String {
    json_escaped(&object.to_string()).into_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::escaping::is_harmless;
    use super::*;

    /// What an attacker would put into a tag, a name, a message or an argument.
    const HOSTILE: &str = "=a\u{1b}]52;c;eA==\u{7}\nERROR forged\u{2028}\u{202e}\u{85}\u{9b}2J\tb";

    #[test]
    fn each_way_out_takes_the_harm_out_of_a_text_and_the_text_stays_as_it_came() {
        let text = Outside::new(HOSTILE);
        assert_eq!(text.exact(), HOSTILE);
        let line = r"=a\u{1b}]52;c;eA==\u{7}\u{a}ERROR forged\u{2028}\u{202e}\u{85}\u{9b}2J\u{9}b";
        assert_eq!(text.line(), line);
        assert_eq!(format!("{text:?}"), format!("\"{line}\""));
        assert_eq!(text.cell(), format!("'{line}"));
        assert_eq!(text.json(), HOSTILE);
        assert_eq!(&*text.kept(500), r"=a\u{1b}]52;c;eA==\u{7} ERROR forged \u{202e} \u{9b}2J b");
        assert_eq!(shown(std::path::Path::new("a\nb")), r"a\u{a}b");
    }

    #[test]
    fn what_is_kept_is_one_bounded_line() {
        for (text, longest, expected) in [
            ("two\r\nlines\t here ", 40, "two lines here"),
            ("abcdef", 3, "abc…"),
            ("abc", 3, "abc"),
            ("äöü", 2, "äö…"),
        ] {
            assert_eq!(&*Outside::new(text).kept(longest), expected);
        }
    }

    #[test]
    fn no_spreadsheet_runs_a_cell() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("-", "'-"),
            ("@a", "'@a"),
            ("\tx", r"'\u{9}x"),
            ("＝1", "'＝1"),
            ("－1", "'－1"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(Outside::new(cell).cell(), written);
        }
        for (cell, written) in [("=1\n", "'=1\n"), ("＠", "'＠"), ("a\n=", "a\n=")] {
            assert_eq!(Outside::new(cell).data_cell(), written);
        }
    }

    #[test]
    fn a_document_is_exact_for_whoever_parses_it_and_harmless_for_whoever_looks_at_it() {
        let object = serde_json::json!({ "text": HOSTILE, "tag": "\u{e0041}" });
        let document = json_document(&object);
        assert!(document.trim_end_matches('\n').chars().all(is_harmless), "{document}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&document).expect("an object"), object);
    }
}
