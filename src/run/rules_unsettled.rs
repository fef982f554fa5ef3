//! Which rules of a file the next run would decide otherwise, told of what a plan really does.

use super::input::CheckedInput;
use crate::inventory::{Inventory, MachinePosition};
use crate::model::Change;
use crate::plan::changes::{Decision, Plan};
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::ResolvedMachine;
use crate::report::{Fields, ListedFields};
use crate::rules::{Declaration, Fleet, PlannedForMachine};

/// Counts the rules that would change their minds once this plan has been carried out over this list.
pub(super) fn count_unsettled(
    input: &mut CheckedInput,
    declaration: &Declaration,
    plan: &Plan,
    (inventory, fields): (&Inventory, &Fields),
    recent: &RecentWrites,
) {
    let Some(rules) = &mut input.rules else { return };
    let listed = ListedFields { inventory, fields };
    let fleet = Fleet { inventory, fields: &listed, recent };
    rules.tally.count_unsettled(declaration, fleet, by_machine(plan));
}

/// What a plan makes of each machine of which it changes something.
fn by_machine(plan: &Plan) -> Vec<PlannedForMachine> {
    let mut planned: Vec<(MachinePosition, Change, Decision)> = Vec::new();
    planned.extend(plan.iter().filter_map(|(operation, decision, _)| {
        let Some(ResolvedMachine::Listed(position)) = plan.machines.machine(operation.machine) else { return None };
        Some((*position, plan.requests().change(operation.change)?, decision))
    }));
    planned.sort_by_key(|(position, ..)| *position);
    let of_machines = planned.chunk_by(|(one, ..), (next, ..)| one == next);
    let changed = of_machines.filter(|all| all.iter().any(|(.., decision)| *decision == Decision::Change));
    let of_machine = |all: &[(MachinePosition, Change, Decision)]| {
        let is_done = |decision| matches!(decision, Decision::Change | Decision::Unchanged);
        let wished = all.iter().map(|(_, change, decision)| (change.clone(), is_done(*decision))).collect();
        Some(PlannedForMachine { position: all.first()?.0, wished })
    };
    changed.filter_map(of_machine).collect()
}
