//! A filter's conditions, typed by their literals.

use core::net::Ipv4Addr;

use jiff::Timestamp;

use super::address::AddressRange;
use super::cell::Cell;
use super::lists::ListForm;
use super::literals::{self, Number};
use super::names::ColumnKind;
use super::scale::Scale;
use super::text_test::TextTest;

/// Conditions, joined.
#[derive(Debug)]
pub(super) enum Expression {
    Constant(bool),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    Test(Box<Test>),
}

impl Expression {
    /// Shows every question.
    pub(super) fn each_test(&self, show: &mut impl FnMut(&Test)) {
        match self {
            Self::Constant(_) => {}
            Self::Not(inner) => inner.each_test(show),
            Self::All(inner) | Self::Any(inner) => inner.iter().for_each(|inner| inner.each_test(show)),
            Self::Test(test) => show(test),
        }
    }
}

/// What is asked of a column.
#[derive(Debug)]
pub(super) struct Test {
    /// Which of the filter's names.
    pub(super) slot: usize,
    pub(super) check: Check,
}

/// What is asked of a cell.
#[derive(Debug)]
pub(super) enum Check {
    Text(TextTest),
    /// Of the text that `tolower` makes of it.
    LowerText(TextTest),
    Number(Scale<Number>),
    Date(Scale<Timestamp>),
    Boolean(Scale<bool>),
    /// How many characters it has.
    Length(Scale<Number>),
    /// How many elements it has.
    Count(Scale<Number>),
    Address(AddressRange),
    HasElement(String),
    Empty {
        is_negated: bool,
    },
}

/// What came of asking.
pub(super) enum Answer {
    Decided(bool),
    /// There is nothing to ask.
    Lacking,
    /// The cell is not of the type; this is what it should be, in words.
    Unread(&'static str),
}

impl Check {
    /// Asks a cell. `scratch` is memory that is used again.
    pub(super) fn answer(&self, cell: Cell<'_>, kind: ColumnKind, scratch: &mut String) -> Answer {
        let text = match cell {
            Cell::Lacking => return Answer::Lacking,
            Cell::List(elements) => return self.answer_of_elements(elements, scratch),
            Cell::Text(text) => trim(text),
        };
        if let ColumnKind::List(form) = kind {
            return self.answer_of_list(text, form, scratch);
        }
        let (decided, wanted) = match self {
            Self::Text(question) => (Some(question.accepts(text, scratch)), ""),
            Self::LowerText(question) => (Some(accepts_lowered(question, text, scratch)), ""),
            Self::Number(scale) => (Number::parse(text).map(|number| scale.takes(&number)), "a number"),
            Self::Date(scale) => (literals::date(text).map(|date| scale.takes(&date)), "a date"),
            Self::Boolean(scale) => (literals::boolean(text).map(|boolean| scale.takes(&boolean)), "true or false"),
            Self::Length(scale) => (Some(scale.takes(&Number::of_count(text.chars().count()))), ""),
            Self::Address(range) => {
                (text.parse::<Ipv4Addr>().ok().map(|address| range.holds(address)), "an IPv4 address")
            }
            Self::Empty { is_negated } => (Some(text.is_empty() != *is_negated), ""),
            // No column of texts gets so far.
            Self::Count(_) | Self::HasElement(_) => (None, "a list"),
        };
        decided.map_or(Answer::Unread(wanted), Answer::Decided)
    }

    fn answer_of_list(&self, cell: &str, form: ListForm, scratch: &mut String) -> Answer {
        let mut tally = Tally::default();
        match form.visit(cell, |element| tally.see(self, element, scratch)) {
            Some(()) => self.answer_of(tally),
            // It holds something, whatever that is.
            None if matches!(self, Self::Empty { .. }) => self.answer_of(Tally { elements: 1, ..Tally::default() }),
            None => Answer::Unread("a list"),
        }
    }

    fn answer_of_elements(&self, elements: &[&str], scratch: &mut String) -> Answer {
        let mut tally = Tally::default();
        for element in elements {
            tally.see(self, element, scratch);
        }
        self.answer_of(tally)
    }

    fn answer_of(&self, Tally { elements, matching }: Tally) -> Answer {
        Answer::Decided(match self {
            Self::Empty { is_negated } => (elements == 0) != *is_negated,
            Self::Count(scale) => scale.takes(&Number::of_count(elements)),
            Self::HasElement(_) => matching > 0,
            Self::Text(test) => (matching > 0) != test.is_negated,
            // What takes a single value gets no list.
            _ => return Answer::Unread("a single value"),
        })
    }
}

/// What was seen of a list.
#[derive(Default)]
struct Tally {
    elements: usize,
    matching: usize,
}

impl Tally {
    fn see(&mut self, check: &Check, element: &str, scratch: &mut String) {
        self.elements += 1;
        self.matching += usize::from(match check {
            Check::HasElement(wanted) => element == wanted,
            Check::Text(test) => test.holds(element, scratch),
            _ => false,
        });
    }
}

/// Without white space at both ends. Nearly every cell has none.
fn trim(cell: &str) -> &str {
    match cell.as_bytes() {
        [] => cell,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => cell,
        _ => cell.trim(),
    }
}

/// Asks for the text that `tolower` makes of another.
fn accepts_lowered(question: &TextTest, text: &str, scratch: &mut String) -> bool {
    let mut lowered = std::mem::take(scratch);
    lowered.clear();
    if text.is_ascii() {
        lowered.push_str(text);
        lowered.make_ascii_lowercase();
    } else {
        lowered.push_str(&text.to_lowercase());
    }
    let is_accepted = question.accepts(&lowered, scratch);
    *scratch = lowered;
    is_accepted
}
