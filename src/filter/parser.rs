//! Tokens to conditions. `or` binds less than `and`; parentheses nest, and nothing else does.

use indexmap::IndexSet;
use jiff::{SignedDuration, Timestamp};

use super::address::AddressRange;
use super::comparison::{Form, Operand};
use super::error::FilterErrorKind;
use super::expression::{Check, Expression, Test};
use super::literals::Literal;
use super::names::{ColumnName, Mention, Takes, nearest};
use super::scale::Comparison;
use super::source::Span;
use super::tokens::{Fault, Placed, Token};

/// How deep parentheses may nest.
const DEPTH_MAXIMUM: usize = 32;

/// The functions, for naming the nearest one.
const FUNCTIONS: [&str; 11] = [
    "not",
    "isempty",
    "isnotempty",
    "tolower",
    "strlen",
    "ago",
    "now",
    "datetime",
    "set_has_element",
    "array_length",
    "ipv4_is_in_range",
];

/// A filter's conditions and the names in them.
pub(super) struct Parsed {
    pub(super) names: Vec<ColumnName>,
    pub(super) mentions: Vec<Mention>,
    pub(super) expression: Expression,
}

/// Understands all tokens of a text.
pub(super) fn parse(text: &str, tokens: &[Placed<'_>], now: Timestamp) -> Result<Parsed, Fault> {
    if tokens.is_empty() {
        return Err(Fault::new(text.len()..text.len(), FilterErrorKind::Empty));
    }
    let mut parser = Parser { text, tokens, position: 0, depth: 0, now, names: IndexSet::new(), mentions: Vec::new() };
    let expression = parser.any()?;
    if parser.peek().is_some() {
        return Err(parser.misplaced("and, or, or the end", hint_at_end(parser.peek())));
    }
    Ok(Parsed { names: parser.names.into_iter().collect(), mentions: parser.mentions, expression })
}

/// Goes over the tokens from the first to the last, and never back.
pub(super) struct Parser<'t> {
    text: &'t str,
    tokens: &'t [Placed<'t>],
    position: usize,
    depth: usize,
    now: Timestamp,
    names: IndexSet<ColumnName>,
    mentions: Vec<Mention>,
}

impl<'t> Parser<'t> {
    fn any(&mut self) -> Result<Expression, Fault> {
        let first = self.all()?;
        let mut terms = vec![first];
        while self.take_word("or") {
            terms.push(self.all()?);
        }
        Ok(joined(terms, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, Fault> {
        let first = self.condition()?;
        let mut terms = vec![first];
        while self.take_word("and") {
            terms.push(self.condition()?);
        }
        Ok(joined(terms, Expression::All))
    }

    fn condition(&mut self) -> Result<Expression, Fault> {
        if self.is_call("not") {
            self.position += 1;
            return Ok(Expression::Not(Box::new(self.nested()?)));
        }
        match self.peek() {
            Some(Token::Sign("(")) => self.nested(),
            Some(Token::Word("not")) => {
                self.position += 1;
                Err(self.misplaced("( after not", None))
            }
            Some(Token::Word(word @ ("true" | "false"))) if !self.is_compared_next() => {
                self.position += 1;
                Ok(Expression::Constant(*word == "true"))
            }
            Some(Token::Word(word)) if self.is_call(word) => self.call(word),
            _ => self.comparison(),
        }
    }

    /// A condition in parentheses, which stand next.
    fn nested(&mut self) -> Result<Expression, Fault> {
        if self.depth == DEPTH_MAXIMUM {
            return Err(Fault::new(self.span(), FilterErrorKind::TooDeep));
        }
        self.depth += 1;
        self.expect("(")?;
        let inner = self.any()?;
        self.expect(")")?;
        self.depth -= 1;
        Ok(inner)
    }

    /// A function that is a condition by itself, or what is measured and then compared.
    fn call(&mut self, function: &'t str) -> Result<Expression, Fault> {
        let check = match function {
            "isempty" | "isnotempty" => {
                let slot = self.only_argument(function, Takes::Either)?;
                Test { slot, check: Check::Empty { is_negated: function == "isnotempty" } }
            }
            "set_has_element" => {
                let (slot, element, _) = self.column_and_text(function, Takes::List)?;
                Test { slot, check: Check::HasElement(element) }
            }
            "ipv4_is_in_range" => {
                let (slot, range, span) = self.column_and_text(function, Takes::Text)?;
                let bad_range = || Fault::new(span, FilterErrorKind::BadAddressRange { found: range.clone() });
                let range = AddressRange::parse(&range).ok_or_else(bad_range)?;
                Test { slot, check: Check::Address(range) }
            }
            _ => return self.comparison(),
        };
        Ok(Expression::Test(Box::new(check)))
    }

    fn only_argument(&mut self, function: &str, takes: Takes) -> Result<usize, Fault> {
        self.position += 1;
        self.expect("(")?;
        let slot = self.column(function, takes)?;
        self.expect(")")?;
        Ok(slot)
    }

    fn column_and_text(&mut self, function: &str, takes: Takes) -> Result<(usize, String, Span), Fault> {
        self.position += 1;
        self.expect("(")?;
        let slot = self.column(function, takes)?;
        self.expect(",")?;
        let (literal, span) = self.literal()?;
        let Literal::Text(text) = literal else {
            let (operator, found) = (function.to_owned(), literal.kind());
            let takes = "takes text as its second argument";
            return Err(Fault::new(span, FilterErrorKind::WrongType { operator, takes, found, hint: None }));
        };
        self.expect(")")?;
        Ok((slot, text, span))
    }

    fn column(&mut self, operator: &str, takes: Takes) -> Result<usize, Fault> {
        let (name, span) = self.name()?;
        Ok(self.mention(name, span, operator.to_owned(), takes))
    }

    /// The column that stands next, or what is measured of it.
    pub(super) fn operand(&mut self) -> Result<Operand, Fault> {
        let form = match self.peek() {
            Some(Token::Word(function)) if self.is_call(function) => match *function {
                "tolower" => Form::Lower,
                "strlen" => Form::Length,
                "array_length" => Form::Count,
                _ => return Err(self.unknown_function(function)),
            },
            _ => {
                let (name, span) = self.name()?;
                return Ok(Operand { form: Form::Cell, name, span });
            }
        };
        self.position += 1;
        self.expect("(")?;
        let (name, span) = self.name()?;
        self.expect(")")?;
        Ok(Operand { form, name, span })
    }

    fn unknown_function(&self, function: &str) -> Fault {
        if matches!(function, "and" | "or" | "in" | "between") || FUNCTIONS.contains(&function) {
            return self.misplaced("a condition", None);
        }
        let nearest = nearest(function, FUNCTIONS);
        Fault::new(self.span(), FilterErrorKind::UnknownFunction { found: function.to_owned(), nearest })
    }

    /// `NAME`, `['NAME']`, `QUALIFIER.NAME` or `QUALIFIER['NAME']`.
    fn name(&mut self) -> Result<(ColumnName, Span), Fault> {
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

    fn peek_at(&self, distance: usize) -> Option<&'t Token<'t>> {
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

    fn is_call(&self, function: &str) -> bool {
        self.peek() == Some(&Token::Word(function)) && self.peek_at(1) == Some(&Token::Sign("("))
    }

    /// Whether the token behind the next one compares it with something.
    fn is_compared_next(&self) -> bool {
        matches!(self.peek_at(1), Some(Token::Sign(sign)) if Comparison::of(sign).is_some() || sign.ends_with('~'))
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

/// What may be meant by a token where the filter could be over.
fn hint_at_end(token: Option<&Token<'_>>) -> Option<&'static str> {
    match token? {
        Token::Word(word) if word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or") => {
            Some("write and and or in lower case")
        }
        Token::Sign(sign) if Comparison::of(sign).is_some() => {
            Some("a condition is not compared; write not(…) for its opposite")
        }
        _ => None,
    }
}

/// Words that are no columns unless they stand in brackets.
fn is_reserved(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "true" | "false" | "in" | "in~" | "between" | "matches")
        || word.starts_with('!')
}

/// One term stands for itself.
fn joined(mut terms: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        last => {
            terms.extend(last);
            join(terms)
        }
    }
}
