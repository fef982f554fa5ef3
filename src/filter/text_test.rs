//! Tests of texts. Literals are folded when the filter is read, so that a row costs no more than looking at its cell.

use std::cmp::Ordering;

use memchr::memmem::Finder;
use regex::Regex;

/// What is asked of a text.
#[derive(Clone, Debug)]
pub(super) struct TextTest {
    pub(super) question: Question,
    /// Whether the letters of ASCII count in either case. The literals are in lower case then.
    pub(super) folds: bool,
    pub(super) is_negated: bool,
}

/// The question without its negation.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Equals(String),
    StartsWith(String),
    EndsWith(String),
    Contains(Finder<'static>),
    Has(Phrase),
    /// In ascending order.
    Among(Vec<String>),
    Matches(Regex),
}

impl TextTest {
    /// Whether a text is among these.
    pub(super) fn among(mut values: Vec<String>, folds: bool, is_negated: bool) -> Self {
        for value in &mut values {
            fold(value, folds);
        }
        values.sort_unstable();
        Self { question: Question::Among(values), folds, is_negated }
    }

    /// A question about one literal.
    pub(super) fn about(mut literal: String, question: fn(String) -> Question, folds: bool, is_negated: bool) -> Self {
        fold(&mut literal, folds);
        Self { question: question(literal), folds, is_negated }
    }

    /// The answer for a text. `scratch` is memory that is used again.
    pub(super) fn accepts(&self, text: &str, scratch: &mut String) -> bool {
        self.holds(text, scratch) != self.is_negated
    }

    /// The answer but for the negation.
    pub(super) fn holds(&self, text: &str, scratch: &mut String) -> bool {
        let bytes = text.as_bytes();
        match &self.question {
            Question::Equals(literal) => self.is_same(bytes, literal),
            Question::StartsWith(literal) => {
                bytes.get(..literal.len()).is_some_and(|start| self.is_same(start, literal))
            }
            Question::EndsWith(literal) => {
                let start = bytes.len().checked_sub(literal.len());
                start.and_then(|start| bytes.get(start..)).is_some_and(|end| self.is_same(end, literal))
            }
            Question::Contains(finder) => finder.find(self.folded(text, scratch).as_bytes()).is_some(),
            Question::Has(phrase) => phrase.is_in(self.folded(text, scratch)),
            Question::Among(sorted) => sorted.binary_search_by(|literal| self.order(literal, text)).is_ok(),
            Question::Matches(expression) => expression.is_match(text),
        }
    }

    fn is_same(&self, bytes: &[u8], literal: &str) -> bool {
        if self.folds { bytes.eq_ignore_ascii_case(literal.as_bytes()) } else { bytes == literal.as_bytes() }
    }

    fn folded<'t>(&self, text: &'t str, scratch: &'t mut String) -> &'t str {
        if !self.folds || !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return text;
        }
        scratch.clear();
        scratch.push_str(text);
        scratch.make_ascii_lowercase();
        scratch
    }

    fn order(&self, literal: &str, text: &str) -> Ordering {
        if !self.folds {
            return literal.cmp(text);
        }
        literal.bytes().cmp(text.bytes().map(|byte| byte.to_ascii_lowercase()))
    }
}

fn fold(literal: &mut str, folds: bool) {
    if folds {
        literal.make_ascii_lowercase();
    }
}

/// A text that must stand in another as whole terms: it begins and ends where runs of letters and digits do.
#[derive(Clone, Debug)]
pub(super) struct Phrase {
    finder: Finder<'static>,
    /// Whether it begins and ends with a letter or digit, so that none may stand beside it.
    begins_a_term: bool,
    ends_a_term: bool,
}

impl Phrase {
    #[expect(clippy::needless_pass_by_value, reason = "one of the questions, which take their literals")]
    pub(super) fn new(text: String) -> Self {
        Self {
            finder: Finder::new(text.as_str()).into_owned(),
            begins_a_term: text.starts_with(char::is_alphanumeric),
            ends_a_term: text.ends_with(char::is_alphanumeric),
        }
    }

    fn is_in(&self, text: &str) -> bool {
        let Some(first) = self.finder.find(text.as_bytes()) else { return false };
        self.is_whole(text, first) || self.is_whole_further_on(text, first)
    }

    fn is_whole(&self, text: &str, start: usize) -> bool {
        let end = start + self.finder.needle().len();
        let before = || text.get(..start).is_some_and(|before| before.ends_with(char::is_alphanumeric));
        let after = || text.get(end..).is_some_and(|after| after.starts_with(char::is_alphanumeric));
        !(self.begins_a_term && before() || self.ends_a_term && after())
    }

    /// Looks at every further place, those that overlap included, in one pass (Knuth, Morris and Pratt), since a hostile
    /// text can hold very many.
    fn is_whole_further_on(&self, text: &str, first: usize) -> bool {
        let needle = self.finder.needle();
        let borders = borders(needle);
        let mut matched = 0;
        for (position, byte) in text.bytes().enumerate().skip(first) {
            while matched > 0 && needle.get(matched) != Some(&byte) {
                matched = borders.get(matched - 1).copied().unwrap_or_default();
            }
            if needle.get(matched) == Some(&byte) {
                matched += 1;
            }
            if matched == needle.len() && self.is_whole(text, position + 1 - matched) {
                return true;
            }
        }
        false
    }
}

/// For every beginning of a text, how long the longest shorter beginning is that it ends with.
fn borders(needle: &[u8]) -> Vec<usize> {
    let mut borders = vec![0; needle.len()];
    let mut length = 0;
    for (position, byte) in needle.iter().enumerate().skip(1) {
        while length > 0 && needle.get(length) != Some(byte) {
            length = borders.get(length - 1).copied().unwrap_or_default();
        }
        if needle.get(length) == Some(byte) {
            length += 1;
        }
        if let Some(border) = borders.get_mut(position) {
            *border = length;
        }
    }
    borders
}
