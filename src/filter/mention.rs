//! Where a filter names a column, and whether the operator there takes it.

use super::error::FilterErrorKind;
use super::names::{ColumnKind, ColumnName};
use super::source::Span;

/// How a name is used at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// Which of the filter's names.
    pub(super) slot: usize,
    pub(super) span: Span,
    /// The operator or function, for messages.
    pub(super) operator: String,
    pub(super) takes: Takes,
}

/// The kinds of columns that an operator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Text,
    List,
    Either,
}

impl Mention {
    /// Whether the operator takes the column.
    pub(super) fn check(&self, name: &ColumnName, kind: ColumnKind) -> Result<(), FilterErrorKind> {
        let (operator, column) = (self.operator.clone(), name.clone());
        match (self.takes, kind) {
            (Takes::Text, ColumnKind::List(_)) => Err(FilterErrorKind::ListColumn { operator, column }),
            (Takes::List, ColumnKind::Text) => Err(FilterErrorKind::NoListColumn { function: operator, column }),
            _ => Ok(()),
        }
    }
}
