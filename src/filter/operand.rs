//! What is compared: a column's cell, or what a function makes of it.

use super::error::{FUNCTIONS, FilterErrorKind};
use super::names::{ColumnName, nearest};
use super::parser::Parser;
use super::source::Span;
use super::tokens::{Fault, Token};

/// What is compared: a column's cell, or something made of it.
pub(super) struct Operand {
    pub(super) form: Form,
    pub(super) name: ColumnName,
    pub(super) span: Span,
}

/// What of a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Cell,
    /// `tolower`.
    Lower,
    /// `strlen`.
    Length,
    /// `array_length`.
    Count,
}

impl Form {
    pub(super) const fn function(self) -> Option<&'static str> {
        match self {
            Self::Cell => None,
            Self::Lower => Some("tolower"),
            Self::Length => Some("strlen"),
            Self::Count => Some("array_length"),
        }
    }

    pub(super) fn wrong_type(self, found: &'static str) -> FilterErrorKind {
        let takes = if self == Self::Lower { "is compared with text" } else { "is compared with a number" };
        let operator = self.function().unwrap_or_default().to_owned();
        FilterErrorKind::WrongType { operator, takes, found, hint: None }
    }
}

impl Parser<'_> {
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
        self.advance();
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
}
