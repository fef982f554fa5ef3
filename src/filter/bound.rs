//! A filter with its columns found, and what it says of rows.

use super::cell::{Cell, Row};
use super::error::{FilterError, FilterErrorKind};
use super::expression::{Answer, Check, Expression, Test};
use super::names::{Column, Columns, Lookup};
use super::unbound::Filter;
use crate::outside::{Outside, shown};
use crate::words::counted;

/// How much of a cell that cannot be read a note shows.
const SHOWN_CHARACTERS: usize = 60;

/// A filter that is ready for rows.
#[derive(Debug)]
pub struct BoundFilter {
    filter: Filter,
    /// The column of every name.
    columns: Vec<Column>,
}

impl Filter {
    /// Finds the columns of all names.
    ///
    /// # Errors
    /// [`FilterError`] with the place, if a name has no column or more than one, or if its column is a list where a single
    /// value is needed, or the other way round.
    pub fn bind(self, columns: &dyn Columns) -> Result<BoundFilter, FilterError> {
        let error = |span, kind| FilterError::new(&self.source, span, kind);
        let mut found: Vec<Option<Column>> = vec![None; self.names.len()];
        for mention in &self.mentions {
            let (Some(name), Some(found)) = (self.names.get(mention.slot), found.get_mut(mention.slot)) else {
                continue;
            };
            let column = match found {
                Some(column) => *column,
                None => match columns.find(name) {
                    Lookup::Found(column) => *found.insert(column),
                    Lookup::Ambiguous(columns) => {
                        let name = name.clone();
                        return Err(error(mention.span, FilterErrorKind::AmbiguousColumn { name, columns }));
                    }
                    Lookup::Unknown => {
                        return Err(error(mention.span, FilterErrorKind::unknown_column(name, columns)));
                    }
                },
            };
            mention.check(name, column.kind).map_err(|kind| error(mention.span, kind))?;
        }
        // Every name has a mention, so that none is left out.
        let columns = found.into_iter().flatten().collect();
        Ok(BoundFilter { filter: self, columns })
    }
}

impl BoundFilter {
    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        self.filter.text()
    }

    /// Whether a row is selected; `None` when that cannot be decided, since something is lacking.
    pub fn verdict<R: Row + ?Sized>(&self, row: &R, unread: &mut Unread) -> Option<bool> {
        unread.rows += 1;
        self.evaluate(&self.filter.expression, row, unread)
    }

    /// Whether a row is selected for certain.
    pub fn selects<R: Row + ?Sized>(&self, row: &R, unread: &mut Unread) -> bool {
        self.verdict(row, unread) == Some(true)
    }

    /// The names whose cells are lacking in a row, as one writes them, with their places.
    #[must_use]
    pub fn lacking<R: Row + ?Sized>(&self, row: &R) -> Vec<(String, usize)> {
        let named = self.filter.names.iter().zip(&self.columns);
        let is_lacking = |column: &Column| matches!(row.cell(column.position), Cell::Lacking);
        named.filter(|(_, column)| is_lacking(column)).map(|(name, column)| (name.written(), column.position)).collect()
    }

    /// What the filter's columns held that could not be read, for notes; in the order in which the filter names them.
    #[must_use]
    pub fn unread_cells(&self, unread: &Unread) -> Vec<UnreadCells> {
        let columns = self.filter.names.iter().zip(&unread.columns);
        columns
            .filter(|(_, column)| column.cells > 0)
            .map(|(name, column)| UnreadCells {
                column: name.written(),
                wanted: column.wanted,
                cells: column.cells,
                empty: column.empty,
                first: column.first.clone(),
            })
            .collect()
    }

    /// The places of its columns.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(|column| column.position)
    }

    /// The places of the columns whose cells are taken as texts.
    #[must_use]
    pub fn texts(&self) -> Vec<usize> {
        let mut slots = Vec::new();
        self.filter.expression.each_test(&mut |test| {
            // Whether a cell holds something is no question of its text either.
            if !matches!(test.check, Check::Number(_) | Check::Date(_) | Check::Empty { .. }) {
                slots.push(test.slot);
            }
        });
        let mut places: Vec<usize> = slots.iter().filter_map(|slot| Some(self.columns.get(*slot)?.position)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    fn evaluate<R: Row + ?Sized>(&self, expression: &Expression, row: &R, unread: &mut Unread) -> Option<bool> {
        match expression {
            Expression::Constant(constant) => Some(*constant),
            Expression::Not(inner) => self.evaluate(inner, row, unread).map(|is_true| !is_true),
            Expression::All(inner) => self.first_that_is(false, inner, row, unread),
            Expression::Any(inner) => self.first_that_is(true, inner, row, unread),
            Expression::Test(test) => self.ask(test, row, unread),
        }
    }

    /// The answer that decides, if one of them gives it; else undecided, if one of them is; else the other answer.
    fn first_that_is<R: Row + ?Sized>(
        &self,
        decisive: bool,
        inner: &[Expression],
        row: &R,
        unread: &mut Unread,
    ) -> Option<bool> {
        let mut together = Some(!decisive);
        for expression in inner {
            match self.evaluate(expression, row, unread) {
                Some(answer) if answer == decisive => return Some(decisive),
                Some(_) => {}
                None => together = None,
            }
        }
        together
    }

    fn ask<R: Row + ?Sized>(&self, test: &Test, row: &R, unread: &mut Unread) -> Option<bool> {
        let column = self.columns.get(test.slot)?;
        let cell = row.cell(column.position);
        match test.check.answer(cell, column.kind, &mut unread.scratch) {
            Answer::Decided(is_true) => Some(is_true),
            Answer::Lacking => None,
            Answer::Unread(wanted) => {
                unread.add(test.slot, wanted, cell);
                Some(false)
            }
        }
    }
}

/// Counts cells that were not of the type that a filter needs; holds memory that is used for every row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    rows: u64,
    columns: Vec<UnreadColumn>,
    scratch: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct UnreadColumn {
    wanted: &'static str,
    cells: u64,
    empty: u64,
    first: Option<Box<str>>,
    /// The row that was counted last: a cell counts once, however often it is asked.
    last_row: u64,
}

impl Unread {
    fn add(&mut self, slot: usize, wanted: &'static str, cell: Cell<'_>) {
        if self.columns.len() <= slot {
            self.columns.resize_with(slot + 1, UnreadColumn::default);
        }
        let Some(column) = self.columns.get_mut(slot).filter(|column| column.last_row != self.rows) else { return };
        column.last_row = self.rows;
        column.wanted = wanted;
        column.cells += 1;
        match cell {
            Cell::Text(text) if !text.trim().is_empty() => {
                column.first.get_or_insert_with(|| Outside::new(text.trim()).kept(SHOWN_CHARACTERS));
            }
            _ => column.empty += 1,
        }
    }
}

/// Cells of one column that could not be read as the filter needs them, and so are false under every comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadCells {
    /// The column, as the filter names it.
    pub column: String,
    /// What the cells should be, in words.
    pub wanted: &'static str,
    /// How many there are.
    pub cells: u64,
    /// How many of them are empty.
    pub empty: u64,
    /// The first that is not empty, cut and harmless.
    pub first: Option<Box<str>>,
}

impl std::fmt::Display for UnreadCells {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { column, wanted, cells, empty, first } = self;
        let count = counted(*cells, "cell is", "cells are");
        write!(
            formatter,
            "{count} not {wanted} in {}, so the filter's comparisons with {} are false",
            shown(column),
            if *cells == 1 { "it" } else { "them" }
        )?;
        match (first, empty) {
            (Some(first), 0) => write!(formatter, "; the first is \"{first}\""),
            (Some(first), empty) => {
                write!(formatter, "; {} empty, and the first other is \"{first}\"", counted(*empty, "is", "are"))
            }
            (None, _) => formatter.write_str(if *cells == 1 { "; it is empty" } else { "; they are all empty" }),
        }
    }
}
