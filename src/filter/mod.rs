//! The filter language: the predicates of KQL over the cells of a row, or over a machine's fields of which some are lacking.
//!
//! ```text
//! text ─> tokens ─> parser ─> Filter ── bind(columns) ──> BoundFilter ── verdict(row) ──> Some(true), Some(false), None
//!         literals ─┘  └─ tests: text, scales, lists, addresses
//! ```
//!
//! A [`Filter`] is text that was understood, with names that nobody has looked up yet. [`Filter::bind`] finds their columns
//! once, by whatever [`Columns`] the caller has, so that a row is read by positions. The literal decides the type: a cell
//! is a number where it is compared with one.
//!
//! There is one evaluation, and it knows three answers. A cell that is there decides: what does not parse as the literal's
//! type is false under every comparison, `!=` and `!in` included, and counted in [`Unread`]. A value that is [lacking](Cell)
//! leaves its comparison undecided, and `and`, `or` and `not()` go on with that as Kleene's do. Rows of text lack nothing,
//! so that over them the answer is always one of two.
//!
//! What surprises:
//! - Case is KQL's: `==` and `in` are exact, `=~`, `in~`, `has`, `contains`, `startswith` and `endswith` take the letters of
//!   ASCII in either case, and others as they are.
//! - `and` and `or` are lists, not pairs, so that a thousand terms are one level. Only parentheses nest, 32 deep, and only
//!   over them anything calls itself.
//! - Cells are trimmed, as they are wherever else they are read.

mod address;
mod bound;
mod comparison;
mod error;
mod expression;
mod lists;
mod literals;
mod names;
mod parser;
mod scale;
mod source;
mod text_test;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;

pub use self::bound::{BoundFilter, Cell, Row, Unread, UnreadCells};
pub use self::error::{FilterError, FilterErrorKind};
pub use self::lists::ListForm;
pub(crate) use self::names::nearest;
pub use self::names::{Column, ColumnKind, ColumnName, Columns, Lookup};

/// The longest filter. 1,500 ids in a list take 70 KB.
const FILTER_MAXIMUM_BYTES: usize = 1024 * 1024;

/// A filter that was understood; its names are not looked up yet.
#[derive(Debug)]
pub struct Filter {
    source: Arc<str>,
    names: Vec<ColumnName>,
    mentions: Vec<names::Mention>,
    expression: expression::Expression,
}

impl Filter {
    /// Understands a filter. `now` is the time that `now()` and `ago()` count from.
    ///
    /// # Errors
    /// [`FilterError`] with the place, if the text is none.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, FilterError> {
        if text.len() > FILTER_MAXIMUM_BYTES {
            return Err(FilterError::new("", source::Span::default(), FilterErrorKind::TooLong));
        }
        let parsed = tokens::tokens(text).and_then(|tokens| parser::parse(text, &tokens, now));
        let parsed = parsed.map_err(|fault| FilterError::new(text, fault.span, fault.kind))?;
        let parser::Parsed { names, mentions, expression } = parsed;
        Ok(Self { source: text.into(), names, mentions, expression })
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.source
    }

    /// The names in it, each once for every way in which it is written.
    #[must_use]
    pub fn names(&self) -> &[ColumnName] {
        &self.names
    }
}
