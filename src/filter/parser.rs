//! The tokens of a filter, gone over from the first to the last: what stands next, be it a column or a value.

use indexmap::IndexSet;
use jiff::{SignedDuration, Timestamp};

use super::error::FilterErrorKind;
use super::literals::Literal;
use super::mention::{Mention, Takes};
use super::names::ColumnName;
use super::source::Span;
use super::tokens::{Fault, Placed, Token};

/// Goes over the tokens from the first to the last, and never back.
pub(super) struct Parser<'t> {
    text: &'t str,
    tokens: &'t [Placed<'t>],
    position: usize,
    /// How many parentheses are open.
    pub(super) depth: usize,
    now: Timestamp,
    pub(super) names: IndexSet<ColumnName>,
    pub(super) mentions: Vec<Mention>,
}

impl<'t> Parser<'t> {
    /// Before the first token. `now` is the time that `now()` and `ago()` count from.
    pub(super) fn new(text: &'t str, tokens: &'t [Placed<'t>], now: Timestamp) -> Self {
        Self { text, tokens, position: 0, depth: 0, now, names: IndexSet::new(), mentions: Vec::new() }
    }

    /// `NAME`, `['NAME']`, `QUALIFIER.NAME` or `QUALIFIER['NAME']`.
    pub(super) fn name(&mut self) -> Result<(ColumnName, Span), Fault> {
        let (first, span) = self.simple_name()?;
        let is_qualified = match self.peek() {
            Some(Token::Sign(".")) => {
                self.position += 1;
                true
            }
            next => matches!(next, Some(Token::Name(_))),
        };
        if !is_qualified {
            return Ok((ColumnName { qualifier: None, name: first }, span));
        }
        let (name, last) = self.simple_name()?;
        Ok((ColumnName { qualifier: Some(first), name }, span.to(last)))
    }

    fn simple_name(&mut self) -> Result<(String, Span), Fault> {
        let span = self.span();
        let name = match self.peek() {
            Some(Token::Word(word)) if !is_reserved(word) => (*word).to_owned(),
            Some(Token::Name(name)) => name.clone(),
            Some(Token::Text(_)) => {
                return Err(self.misplaced("a column", Some("columns stand without quotation marks, or as ['NAME']")));
            }
            _ => return Err(self.misplaced("a column", None)),
        };
        self.position += 1;
        Ok((name, span))
    }

    /// Keeps a name and where it stands.
    pub(super) fn mention(&mut self, name: ColumnName, span: Span, operator: String, takes: Takes) -> usize {
        let (slot, _) = self.names.insert_full(name);
        self.mentions.push(Mention { slot, span, operator, takes });
        slot
    }

    /// Whether a value stands next, and no column.
    pub(super) fn is_literal(&self) -> bool {
        match self.peek() {
            Some(Token::Word("ago")) => self.is_call("ago"),
            Some(Token::Word("now")) => self.is_call("now"),
            Some(Token::Word("tolower")) => self.is_call("tolower") && matches!(self.peek_at(2), Some(Token::Text(_))),
            Some(
                Token::Word("true" | "false") | Token::Text(_) | Token::Number(_) | Token::TimeSpan(_) | Token::Date(_),
            ) => true,
            _ => false,
        }
    }

    /// The value that stands next.
    pub(super) fn literal(&mut self) -> Result<(Literal, Span), Fault> {
        const QUOTES: &str = "text stands in quotation marks; two columns cannot be compared";
        let span = self.span();
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Number(number)) => Literal::Number(*number),
            Some(Token::Date(date)) => Literal::Date(*date),
            Some(Token::Word("true")) => Literal::Boolean(true),
            Some(Token::Word("false")) => Literal::Boolean(false),
            Some(Token::Word(function @ ("ago" | "now" | "tolower"))) if self.is_call(function) => {
                return self.constant_call(function);
            }
            Some(Token::TimeSpan(_)) => {
                return Err(self.misplaced("a value", Some("write ago(30d) for the time 30 days ago")));
            }
            Some(Token::Word(_) | Token::Name(_)) => return Err(self.misplaced("a value", Some(QUOTES))),
            _ => return Err(self.misplaced("a value", None)),
        };
        self.position += 1;
        Ok((literal, span))
    }

    /// `ago(30d)`, `now()`, `now(-1h)`, `tolower('X')`.
    fn constant_call(&mut self, function: &str) -> Result<(Literal, Span), Fault> {
        let start = self.span();
        self.position += 1;
        self.expect("(")?;
        let literal = match (function, self.peek()) {
            ("tolower", Some(Token::Text(text))) => {
                self.position += 1;
                Literal::Text(text.to_lowercase())
            }
            ("tolower", _) => return Err(self.misplaced("a text", Some("two columns cannot be compared"))),
            ("now", Some(Token::Sign(")"))) => Literal::Date(self.now),
            (_, Some(Token::TimeSpan(span))) => {
                let sign = if function == "ago" { span.checked_neg() } else { Some(*span) };
                Literal::Date(self.time_from_now(sign)?)
            }
            _ => return Err(self.misplaced("a time span", Some("write for example 30d, 12h or 90m"))),
        };
        let end = self.span();
        self.expect(")")?;
        Ok((literal, start.to(end)))
    }

    fn time_from_now(&mut self, distance: Option<SignedDuration>) -> Result<Timestamp, Fault> {
        let time = distance.and_then(|distance| self.now.checked_add(distance).ok());
        let time = time.ok_or_else(|| Fault::new(self.span(), FilterErrorKind::TimeOutOfRange))?;
        self.position += 1;
        Ok(time)
    }

    pub(super) fn peek(&self) -> Option<&'t Token<'t>> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, distance: usize) -> Option<&'t Token<'t>> {
        self.tokens.get(self.position + distance).map(|placed| &placed.token)
    }

    /// Where the next token stands: at the end, behind the last one.
    pub(super) fn span(&self) -> Span {
        let end = || self.tokens.last().map_or(self.text.len(), |last| last.span.end);
        self.tokens.get(self.position).map_or_else(|| (end()..end()).into(), |placed| placed.span)
    }

    pub(super) const fn advance(&mut self) {
        self.position += 1;
    }

    /// Whether this function is called next.
    pub(super) fn is_call(&self, function: &str) -> bool {
        self.peek() == Some(&Token::Word(function)) && self.peek_at(1) == Some(&Token::Sign("("))
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(&Token::Word(word));
        self.position += usize::from(is_next);
        is_next
    }

    pub(super) fn take_sign(&mut self, sign: &'static str) -> bool {
        let is_next = self.peek() == Some(&Token::Sign(sign));
        self.position += usize::from(is_next);
        is_next
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Result<(), Fault> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.misplaced(sign, None)) }
    }

    /// The beginning of what is written at a place.
    pub(super) fn excerpt(&self, span: Span) -> String {
        self.text.get(span.start..span.end).unwrap_or_default().chars().take(40).collect()
    }

    /// That something else was expected than what stands next.
    pub(super) fn misplaced(&self, expected: &'static str, hint: Option<&'static str>) -> Fault {
        let span = self.span();
        let found = self.peek().map(|_| self.excerpt(span));
        Fault::new(span, FilterErrorKind::Misplaced { expected, found, hint })
    }
}

/// Words that are no columns unless they stand in brackets.
fn is_reserved(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "true" | "false" | "in" | "in~" | "between" | "matches")
        || word.starts_with('!')
}
