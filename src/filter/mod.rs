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
mod cell;
mod comparison;
mod error;
mod expression;
mod grammar;
mod lists;
mod literals;
mod mention;
mod names;
mod operand;
mod parser;
mod scale;
mod source;
mod text_test;
mod tokens;
mod unbound;

#[cfg(test)]
mod tests;

pub(crate) use self::bound::UnreadCells;
pub use self::bound::{BoundFilter, Unread};
pub use self::cell::{Cell, Row};
#[cfg(test)]
pub(crate) use self::error::FilterErrorKind;
pub(crate) use self::error::{FilterError, unknown_column};
pub(crate) use self::lists::ListForm;
pub(crate) use self::names::nearest;
pub(crate) use self::names::{Column, ColumnKind, ColumnName, Columns, Lookup};
pub use self::unbound::Filter;
