//! Whether rows hold in the tenant as it is. Reading only: nothing is decided from it, so our own recent writes never
//! stand in for what the list shows; they only tell what the list may not show yet.

use serde::Serialize;

use super::changes::listed;
use super::operations::{Operations, PlannedOperation};
use super::recent::{Held, RecentWrites, Written};
use super::resolution::{Resolution, ResolvedMachine};
use crate::inventory::Inventory;

/// Whether something that a row asks for holds. The order is the one in which the worst of a row's two is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    /// It is so.
    Holds,
    /// We wrote to it so recently that the list may not show yet what holds.
    Pending,
    /// The service does not show it, or shows more than is read.
    NotShown,
    /// It is otherwise.
    Differs,
    /// The inventory lacks the machine, or its name does not lead to one machine.
    UnknownMachine,
}

impl Finding {
    /// Every finding, in the order of summaries.
    pub(crate) const ALL: [Self; 5] = [Self::Holds, Self::Differs, Self::Pending, Self::NotShown, Self::UnknownMachine];

    /// The name in results and JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Pending => "pending",
            Self::NotShown => "not_shown",
            Self::Differs => "differs",
            Self::UnknownMachine => "unknown_machine",
        }
    }
}

/// What is found about each operation: whether it holds, and what is there.
pub(crate) fn findings(
    operations: &Operations,
    machines: &Resolution,
    inventory: &Inventory,
    recent: &RecentWrites,
) -> Vec<(Finding, Held)> {
    let find = |operation: &PlannedOperation| {
        let Some(ResolvedMachine::Listed(position)) = machines.machine(operation.machine) else {
            return (Finding::UnknownMachine, Held::Unknown);
        };
        let there = listed(machines, operation, Some(inventory));
        let tag = machines.requests().tag(operation.change);
        let written = machines.id(operation.machine, Some(inventory)).and_then(|id| recent.find(id, tag));
        let is_shown = inventory.machine(*position).is_some_and(|machine| match tag {
            Some(_) => machine.shows_tags(),
            None => machine.device_value_text().is_some(),
        });
        match finding(there, operation.change.leaves(), written) {
            Finding::Differs if !is_shown => (Finding::NotShown, there),
            finding => (finding, there),
        }
    };
    operations.operations.iter().map(find).collect()
}

/// What is found where the list shows `there`. It may not show yet what we wrote of late, be that what is wanted or
/// something else. What is old by all that is known of its age, it shows.
fn finding(there: Held, wanted: Held, written: Option<Written>) -> Finding {
    match written.filter(|written| !written.looks_old()) {
        Some(written) if there == wanted && written.may_hold(there).is_only(wanted) => Finding::Holds,
        Some(written) if there != wanted && written.is_somebody_elses(there) => Finding::Differs,
        Some(written) if there == wanted || written.may_have_left(wanted) => Finding::Pending,
        None if there == wanted => Finding::Holds,
        _ => Finding::Differs,
    }
}

#[cfg(test)]
mod tests;
