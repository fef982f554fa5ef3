//! What operations are about and what they want there, and short marks of that, as there may be a million.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::forms::encoding::CHANGE_DEVICE_VALUE;
use crate::store::forms::run::RunKey;

/// Operations or tags that are read in one transaction.
pub(super) const PAGE: u32 = 20_000;

/// Short marks of long texts: 128 bits, so that among a million of them no two are alike by chance.
pub(super) struct Marks([FixedState; 2]);

impl Marks {
    pub(super) const fn new() -> Self {
        Self([FixedState::with_seed(1), FixedState::with_seed(2)])
    }

    pub(super) fn of(&self, value: &impl std::hash::Hash) -> u128 {
        let [high, low] = self.0.each_ref().map(|state| u128::from(state.hash_one(value)));
        high << 64 | low
    }
}

/// What an operation is about, what it wants there, and whether that was found so: in one number, as there may be a million.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark(u128);

impl Mark {
    /// Set where what is wanted was found so.
    const FOUND: u128 = 1;
    /// The bits for what is wanted and whether it was found.
    const WISH: u128 = 0x1ff;

    pub(super) fn new(target: u128, wish: u8) -> Self {
        Self(target & !Self::WISH | u128::from(wish) << 1)
    }

    pub(super) const fn of_claimant(self, is_found: bool) -> Self {
        if is_found { Self(self.0 | Self::FOUND) } else { self }
    }

    /// Whether this operation of another run keeps one of these, which are sorted, from being as it is wanted. What was found so
    /// is changed only by one that is still to come and wants something else.
    pub(super) fn is_in_the_way_of(self, claimed: &[Self], is_to_come: bool) -> bool {
        let target = self.0 & !Self::WISH;
        let first = claimed.partition_point(|mark| mark.0 < target);
        let same = claimed.iter().skip(first).take_while(|mark| mark.0 & !Self::WISH == target);
        same.into_iter().any(|mark| mark.0 & Self::FOUND == 0 || (is_to_come && mark.0 & !Self::FOUND != self.0))
    }
}

/// An operation as far as locks go.
pub(super) struct Target {
    pub(super) number: i64,
    pub(super) machine: String,
    pub(super) tag: Option<u32>,
    /// What it wants there, as a number.
    pub(super) wish: u8,
    pub(super) state: u8,
}

/// The operations of a run behind this number, in their order, a page of them.
pub(super) fn read_page(transaction: &Transaction<'_>, run: RunKey, after: i64) -> Result<Vec<Target>, SqlError> {
    transaction
        .prepare_cached(
            "SELECT operation_number, machine, change_kind, change_argument, state FROM operation
             WHERE run_key = ?1 AND operation_number > ?2 ORDER BY operation_number LIMIT ?3",
        )?
        .query_map(params![run.0, after, PAGE], |row| {
            let kind: u8 = row.get(2)?;
            let is_value = kind == CHANGE_DEVICE_VALUE;
            Ok(Target {
                number: row.get(0)?,
                machine: row.get(1)?,
                tag: if is_value { None } else { Some(row.get(3)?) },
                wish: if is_value { row.get(3)? } else { kind },
                state: row.get(4)?,
            })
        })?
        .collect()
}
