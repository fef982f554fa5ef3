//! A filter as it was understood, before anybody has looked its names up.

use std::sync::Arc;

use jiff::Timestamp;

use super::error::{FilterError, FilterErrorKind};
use super::expression::Expression;
use super::grammar::{self, Parsed};
use super::mention::Mention;
use super::names::ColumnName;
use super::source::Span;
use super::tokens::tokens;

/// The longest filter. 1,500 ids in a list take 70 KB.
const FILTER_MAXIMUM_BYTES: usize = 1024 * 1024;

/// A filter that was understood; its names are not looked up yet.
#[derive(Debug)]
pub struct Filter {
    pub(super) source: Arc<str>,
    pub(super) names: Vec<ColumnName>,
    pub(super) mentions: Vec<Mention>,
    pub(super) expression: Expression,
}

impl Filter {
    /// Understands a filter. `now` is the time that `now()` and `ago()` count from.
    ///
    /// # Errors
    /// [`FilterError`] with the place, if the text is none.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, FilterError> {
        if text.len() > FILTER_MAXIMUM_BYTES {
            return Err(FilterError::new("", Span::default(), FilterErrorKind::TooLong));
        }
        let parsed = tokens(text).and_then(|tokens| grammar::parse(text, &tokens, now));
        let parsed = parsed.map_err(|fault| FilterError::new(text, fault.span, fault.kind))?;
        let Parsed { names, mentions, expression } = parsed;
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
