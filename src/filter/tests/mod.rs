//! Whole filters: text in, answers out.

mod errors;
mod hostile;
mod lacking;
mod naive;
mod operators;
mod topic;

use jiff::Timestamp;

use super::*;
use crate::input::HeaderColumns;

/// The time that filters count from.
fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().expect("a time")
}

fn bound(filter: &str, header: &[&str]) -> Result<BoundFilter, FilterError> {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    Filter::parse(filter, now())?.bind(&HeaderColumns::new(&header))
}

/// Whether a row of these columns and cells is selected.
fn selects(filter: &str, header: &[&str], cells: &[&str]) -> bool {
    let filter = bound(filter, header).unwrap_or_else(|error| panic!("{filter}: {error}\n{}", error.excerpt()));
    filter.selects(cells, &mut Unread::default())
}
