//! What is remembered of a transaction while it goes on: what was done in it that could be done again.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// What rows are numbered now that were stored again, by what they were numbered first. Whoever was told the first number
/// keeps to it.
pub(in crate::store) type Renumbered = HashMap<i64, i64>;

/// The number that a row has now.
pub(in crate::store) fn number_now(renumbered: &Renumbered, number: i64) -> i64 {
    renumbered.get(&number).copied().unwrap_or(number)
}

/// What is remembered of a transaction.
#[derive(Default)]
pub(super) struct Done<'a> {
    /// What was renumbered before; `None` where nothing is remembered.
    pub(super) renumbered: Option<&'a Renumbered>,
    /// How it could be done again, in the order in which it was done.
    pub(super) deeds: RefCell<Vec<Box<dyn Any>>>,
    /// Whether what is being done now was spoken for.
    pub(super) is_spoken_for: Cell<bool>,
    /// Whether something was done of which nobody can say how to do it again.
    pub(super) is_beyond_repeat: Cell<bool>,
}
