//! Tokens to conditions. `or` binds less than `and`; parentheses nest, and nothing else does.

use jiff::Timestamp;

use super::address::AddressRange;
use super::error::FilterErrorKind;
use super::expression::{Check, Expression, Test};
use super::literals::Literal;
use super::mention::{Mention, Takes};
use super::names::ColumnName;
use super::parser::Parser;
use super::scale::Comparison;
use super::source::Span;
use super::tokens::{Fault, Placed, Token};

/// How deep parentheses may nest.
const DEPTH_MAXIMUM: usize = 32;

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
    let mut parser = Parser::new(text, tokens, now);
    let expression = parser.any()?;
    if parser.peek().is_some() {
        return Err(parser.misplaced("and, or, or the end", hint_at_end(parser.peek())));
    }
    Ok(Parsed { names: parser.names.into_iter().collect(), mentions: parser.mentions, expression })
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
            self.advance();
            return Ok(Expression::Not(Box::new(self.nested()?)));
        }
        match self.peek() {
            Some(Token::Sign("(")) => self.nested(),
            Some(Token::Word("not")) => {
                self.advance();
                Err(self.misplaced("( after not", None))
            }
            Some(Token::Word(word @ ("true" | "false"))) if !self.is_compared_next() => {
                self.advance();
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
        self.advance();
        self.expect("(")?;
        let slot = self.column(function, takes)?;
        self.expect(")")?;
        Ok(slot)
    }

    fn column_and_text(&mut self, function: &str, takes: Takes) -> Result<(usize, String, Span), Fault> {
        self.advance();
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

    /// Whether the token behind the next one compares it with something.
    fn is_compared_next(&self) -> bool {
        matches!(self.peek_at(1), Some(Token::Sign(sign)) if Comparison::of(sign).is_some() || sign.ends_with('~'))
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
