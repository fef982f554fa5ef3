//! A tag renamed or removed on every machine that has it, as a run like any other.
//!
//! Its rows are made from the tenant's list: for each machine that has the tag, what is added and then what is removed. A
//! plan that waited for too long is made again with the machines that have the tag by then. What surprises: a run that was
//! left is found again by what was typed, since its rows are gone from the list as soon as they are done. Its machines are
//! rows of the new form as well, so that every one of them is answered.

use std::collections::HashSet;

use serde_json::json;

use super::RunContext;
use super::apply::{ApplyOrder, Applying, keeps_rows};
use super::input::CheckedInput;
use super::input_faults::portal_warning;
use super::join::{candidates, is_of_input};
use super::plan::show;
use super::planning::{Planned, PlanningOrder, plan_over};
use super::resume_stored::resume_stored;
use super::tenant::{MachinesRead, Tenant};
use super::undo::not_kept;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::input::{Excerpt, InputError, MachineFilter, Sheet, SheetWriter};
use crate::inventory::Inventory;
use crate::listing::ReadProgress;
use crate::model::{Change, MachineId, MachineReference, TagAction};
use crate::outside::{Outside, line_unmistakable};
use crate::plan::tag_change::TagChange;
use crate::plan::tenant_tags::{nearest, tenant_tag_warnings};
use crate::plan::undo::row_words;
use crate::report::{Ending, ListBuilder, ListedFields, joined, reading_json};
use crate::store::{KnownOperation, UnfinishedRun};
use crate::words::counted;

/// The columns of the rows that change a tag; `apply` takes them, too.
pub(crate) const RETAG_HEADER: [&str; 5] = ["machineId", "computerDnsName", "tag", "action", "value"];

/// A change of a tag, and what was typed for it.
pub(crate) struct Retagging {
    pub(crate) change: TagChange,
    /// What was typed after the program's name, without options: the name of its rows.
    pub(crate) typed: String,
    /// Which of the machines that have the tag are meant; all of them without a filter.
    pub(crate) filter: Option<MachineFilter>,
}

/// Plans, asks, sends, and answers every machine that has the tag.
pub(crate) async fn retag<T: Transport>(
    tenant: &Tenant<T>,
    order: &ApplyOrder,
    retagging: &Retagging,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    tenant.prune(order.run.keep_runs, context).await?;
    if let Some(unfinished) = same_selection(tenant, order, retagging).await? {
        context.say(&keeps_rows(&unfinished));
        return Box::pin(resume_stored(tenant, &unfinished.run, order.resuming(), context)).await;
    }
    let mut calls = ReadProgress::default();
    loop {
        let begun_before = if order.joins { begun_before(tenant, &retagging.typed).await? } else { Vec::new() };
        let Some((input, planned)) = prepare(tenant, retagging, order.planning, begun_before, context).await? else {
            return Ok(ExitStatus::Done);
        };
        let mut applying = Applying::new(tenant, order, input, calls)?;
        match applying.begin(planned, context).await? {
            Some(begun) => return applying.carry_out(begun, context).await,
            None => calls = applying.calls,
        }
    }
}

/// Plans and says what is planned; changes nothing. With `tells_differences`, a plan that changes something has a status of
/// its own.
pub(crate) async fn plan_retagging<T: Transport>(
    tenant: &Tenant<T>,
    planning: PlanningOrder,
    tells_differences: bool,
    retagging: &Retagging,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    match prepare(tenant, retagging, planning, Vec::new(), context).await? {
        Some((input, planned)) => show(tenant, planning, tells_differences, &input, &planned, context).await,
        None => Ok(ExitStatus::Done),
    }
}

/// Reads the tenant's machines, and plans for those that have the tag and those that the run has changed before. `None`
/// when there are none: then that has been said.
async fn prepare<T: Transport>(
    tenant: &Tenant<T>,
    Retagging { change, typed, filter }: &Retagging,
    planning: PlanningOrder,
    begun_before: Vec<MachineId>,
    context: &mut RunContext,
) -> Result<Option<(CheckedInput, Planned)>, CommandError> {
    let names = filter.iter().flat_map(MachineFilter::names);
    let (read, fields) = tenant.read_list(ListBuilder::keeping(names), context).await?;
    let own = tenant.own_writes(read.began_at).await?;
    let mut machines = change.machines(&read.inventory, &own.recent);
    let all = machines.len();
    if let Some(filter) = filter {
        let listed = ListedFields { inventory: &read.inventory, fields: &fields };
        for note in filter.select(&listed, &mut machines) {
            context.screen.note(&note.to_string());
        }
        context.screen.note(&format!(
            "{} of {} that have the tag selected",
            machines.len(),
            counted(all as u64, "machine", "machines")
        ));
    }
    let known: HashSet<&MachineId> = machines.iter().collect();
    let others: Vec<MachineId> = begun_before.into_iter().filter(|machine| !known.contains(machine)).collect();
    machines.extend(others);
    tenant.note_person(context);
    warn_of_unshown_tags(&read.inventory, context);
    if machines.is_empty() {
        if all == 0 {
            nobody_has(change, &read, context)?;
        } else {
            nobody_is_selected(change, &read, context)?;
        }
        return Ok(None);
    }
    let sheet = rows(change, &machines, &read.inventory).map_err(not_kept)?;
    let input = CheckedInput::made_again(typed.clone(), sheet);
    warn_of_new_tag(change, &input, &read.inventory, context);
    let planned = plan_over(tenant, &input, Some(read), own, planning.settings, &context.screen)?;
    Ok(Some((input, planned)))
}

/// An unfinished run of the same change with the same filter: it keeps the machines that were selected when it began.
async fn same_selection<T: Transport>(
    tenant: &Tenant<T>,
    order: &ApplyOrder,
    retagging: &Retagging,
) -> Result<Option<UnfinishedRun>, CommandError> {
    if retagging.filter.is_none() || !order.joins {
        return Ok(None);
    }
    let candidates = candidates(tenant).await?;
    Ok(candidates.into_iter().find(|candidate| is_of_input(candidate, &retagging.typed)))
}

/// The machines of which an unfinished run of the same name has changed something, or may have.
async fn begun_before<T: Transport>(tenant: &Tenant<T>, typed: &str) -> Result<Vec<MachineId>, CommandError> {
    let candidates = candidates(tenant).await?;
    let Some(unfinished) = candidates.iter().find(|candidate| is_of_input(candidate, typed)) else {
        return Ok(Vec::new());
    };
    let (mut machines, mut seen) = (Vec::new(), HashSet::new());
    let mut pages = tenant.store.operations_of(unfinished.run.key);
    while let Some(known) = pages.next().await? {
        let done = known.into_iter().filter(KnownOperation::may_be_done).map(|known| known.operation.machine);
        machines.extend(done.filter(|machine| seen.insert(machine.clone())));
    }
    Ok(machines)
}

/// A row for each machine and change.
fn rows(change: &TagChange, machines: &[MachineId], inventory: &Inventory) -> Result<Sheet, InputError> {
    let mut sheet = SheetWriter::new(&RETAG_HEADER, None);
    let changes: Vec<Change> = change.changes().collect();
    for machine in machines {
        let name = inventory.look_up(machine).and_then(|listed| listed.name()).unwrap_or_default();
        let (id, name) = (machine.to_string(), Outside::new(name));
        for change in &changes {
            let (tag, action, value) = row_words(change);
            sheet.begin_row(&[&id, &name.data_cell(), tag, action, value])?;
            sheet.ask(MachineReference::Id(machine.clone()), change);
        }
    }
    sheet.finish()
}

/// Says that no machine has the tag, and which one is the nearest.
fn nobody_has(change: &TagChange, read: &MachinesRead, context: &RunContext) -> Result<(), CommandError> {
    let counts = read.inventory.tag_counts();
    let old = change.old().as_str();
    // A list that lags may show it still.
    let nearest = nearest(old, counts.iter().map(|(tag, _)| tag).filter(|tag| *tag != old));
    if context.json {
        let own = json!({"rows": 0, "changes": 0, "tag": old, "nearest": nearest});
        let own = joined(reading_json(&read.progress, None), own);
        context.screen.object(own, &Ending::finished(ExitStatus::Done.code()))?;
    } else {
        let nearest =
            nearest.map(|nearest| format!("; the nearest is \"{}\"", Excerpt::new(&line_unmistakable(nearest))));
        let nearest = nearest.unwrap_or_default();
        context.say(&format!("No machine of the tenant has the tag \"{}\"{nearest}.", Excerpt::new(old)));
    }
    Ok(())
}

/// Says that the filter selects none of those that have the tag.
fn nobody_is_selected(change: &TagChange, read: &MachinesRead, context: &RunContext) -> Result<(), CommandError> {
    let tag = change.old().as_str();
    if context.json {
        let own = joined(reading_json(&read.progress, None), json!({"rows": 0, "changes": 0, "tag": tag}));
        context.screen.object(own, &Ending::finished(ExitStatus::Done.code()))?;
    } else {
        context.say(&format!("The filter selects no machine that has the tag \"{}\".", Excerpt::new(tag)));
    }
    Ok(())
}

/// Whether a machine has the tag that shows none cannot be told.
fn warn_of_unshown_tags(inventory: &Inventory, context: &RunContext) {
    let unshown = inventory.machines().filter(|machine| !machine.shows_tags()).count() as u64;
    if unshown > 0 {
        let machines = counted(unshown, "machine, so it may keep the tag", "machines, so they may keep the tag");
        context.screen.warning(&format!("the service did not show the tags of {machines}"));
    }
}

/// Says that the new tag is there in another spelling, of which the old one is none, and that the portal cannot filter by it.
fn warn_of_new_tag(change: &TagChange, input: &CheckedInput, inventory: &Inventory, context: &RunContext) {
    let old = Excerpt::new(change.old().as_str());
    let (warnings, _) = tenant_tag_warnings(&input.sheet.requests, &[TagAction::Add], inventory);
    for warning in warnings.iter().filter(|warning| warning.is_about_other_spelling_than(&old)) {
        context.screen.warning(&warning.words());
    }
    if let Some(new) = change.new_tag().filter(|new| new.breaks_portal_filter()) {
        context.screen.warning(&portal_warning(new));
    }
}
