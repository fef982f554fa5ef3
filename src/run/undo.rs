//! Taking back what a run changed, as a run of its own.

use std::sync::Arc;

use super::RunContext;
use super::beginning::{self, Begun, Digests, new_run};
use super::carrying_out::{Run, RunOrder};
use super::claim::claim_by_name;
use super::input::CheckedInput;
use super::join::{input_digest, operations_digest};
use super::lock_wait::LockWait;
use super::planning::{Planned, PlanningOrder, add_reading};
use super::resume_stored::{Resuming, named, resume_stored};
use super::tenant::{MachinesRead, OwnWrites, Tenant};
use super::today::AskedWhen;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::input::{Excerpt, InputError, SheetWriter};
use crate::listing::ReadProgress;
use crate::model::{MachineReference, Operation};
use crate::plan::changes::{Decision, Plan, PlanSettings, UnlistedPolicy};
use crate::plan::guard::Guard;
use crate::plan::recent::{Held, RecentWrites};
use crate::plan::resolution::Resolution;
use crate::plan::undo::{Inverse, LeftBehind, Made, SlotChange, leave_what_changed_since, row_words};
use crate::report::{PlanReport, ResultsTarget, Screen};
use crate::store::{RunKind, RunSlot, StoredRun, UnfinishedRun, name_of_undo};
use crate::words::counted;

/// The columns of the rows that take a run back.
pub(crate) const UNDO_HEADER: [&str; 4] = ["machineId", "tag", "action", "value"];

/// What a run changed, as the rows that take it back.
struct Changes {
    /// A row for each slot, also for one that stays as it is since it is not known what was before.
    sheet: SheetWriter,
    left_behind: LeftBehind,
    counts: ChangeCounts,
}

#[derive(Clone, Copy, Default)]
struct ChangeCounts {
    /// Changes that are taken back, as far as nothing has changed them since.
    taken_back: u64,
    /// Those that stay since it is not known what was before.
    unknown: u64,
}

/// What `undo` was asked to do.
pub(crate) struct UndoOrder {
    /// The run whose changes are taken back.
    pub(crate) run_id: String,
    /// Where the results go.
    pub(crate) target: ResultsTarget,
    /// More changes than this are refused.
    pub(crate) max_changes: Option<u32>,
    /// How it is carried out.
    pub(crate) run: RunOrder,
}

/// Works out what takes the run back, asks, and does it; resumes an earlier undo of it that was left.
pub(crate) async fn undo<T: Transport>(
    tenant: &Tenant<T>,
    order: UndoOrder,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    tenant.refuse_loss()?;
    let undone = named(tenant, &order.run_id).await?;
    let lock_wait = tenant.lock_wait(order.run.lock_wait);
    // Claimed first: a process that still works on the run would change it, and calls of a dead one count, too.
    let undone = claim_by_name(tenant, &undone, order.run.lock_wait, context).await?;
    // What is not as it was would be taken back as it is.
    tenant.store.check_books(&undone).await?;
    tenant.store.take_over(undone.key).await?;
    // What is taken back is young from now on.
    tenant.prune(order.run.keep_runs, context).await?;
    let taken_back = match unfinished_undo(tenant, &undone).await? {
        Some(earlier) => {
            let (settings, bulk, max_changes) = (PlanSettings::default(), order.run.bulk, order.max_changes);
            let planning = PlanningOrder { settings, inventory: true, bulk, max_changes };
            let (target, options, taken_back) = (&order.target, &order.run, Some(undone.key));
            Box::pin(resume_stored(
                tenant,
                &earlier,
                Resuming { target, planning, options, asked: AskedWhen::Again, taken_back },
                context,
            ))
            .await
        }
        None => Box::pin(take_back(tenant, &order, &undone, &lock_wait, context)).await,
    };
    if taken_back.is_err() && !tenant.store.is_closed(undone.key).await? {
        tenant.store.leave_run(undone.key).await?;
    }
    taken_back
}

/// An undo of the run that was left before its end. One that does not know of all that the run has done since is none.
async fn unfinished_undo<T: Transport>(
    tenant: &Tenant<T>,
    undone: &StoredRun,
) -> Result<Option<StoredRun>, CommandError> {
    let name = name_of_undo(&undone.description.run_id);
    for UnfinishedRun { run, .. } in tenant.store.unfinished_runs(tenant.account, &tenant.host).await? {
        let is_undo = run.description.kind == RunKind::Undo && run.description.input_path == name;
        if is_undo && !tenant.store.has_called_since(undone.key, run.key).await? {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// Takes a run back by a new one.
async fn take_back<T: Transport>(
    tenant: &Tenant<T>,
    order: &UndoOrder,
    undone: &StoredRun,
    lock_wait: &LockWait,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    let (Begun { key, id }, read) = Box::pin(begin(tenant, order, undone, lock_wait, context)).await?;
    // Resuming it would do again what is being taken back.
    tenant.store.close_run(undone.key).await?;
    let run =
        Run { tenant, key, id: &id, target: &order.target, options: &order.run, selected_from: None, rule_tally: None };
    run.carry_out(Some(&read), context).await
}

/// Plans, asks and stores what takes the run back, until a plan has not waited for too long. Also tells what reading the machines
/// took, however often that was.
async fn begin<T: Transport>(
    tenant: &Tenant<T>,
    order: &UndoOrder,
    undone: &StoredRun,
    lock_wait: &LockWait,
    context: &mut RunContext,
) -> Result<(Begun, ReadProgress), CommandError> {
    let mut read = ReadProgress::default();
    loop {
        let machines = tenant.read_machines(context).await?;
        add_reading(&mut read, &machines.progress);
        let own = tenant.own_writes(machines.began_at).await?;
        // After the reading, so that nothing which another run has done meanwhile is overlooked.
        let Changes { sheet, left_behind, counts } = changes(tenant, undone).await?;
        let mut input = CheckedInput::made(name_of_undo(&order.run_id), sheet.finish().map_err(not_kept)?);
        let mut planned = plan(tenant, &input, &left_behind, machines, own);
        // There is one for each slot, and more to come that is as long.
        drop(left_behind);
        planned.refuse_too_many_changes(order.max_changes, Guard::default())?;
        if order.run.asks && planned.changes() > 0 {
            let report = planned.report(tenant, &input, order.run.bulk).await?;
            let text = describe(undone, counts, &planned, &report);
            context.ask(tenant.clock.as_ref(), tenant.gate.deadline, &text).await?;
        } else {
            warn_of_what_is_left(counts, &planned, &context.screen);
        }
        if planned.is_stale(tenant, context) {
            continue;
        }
        let digests = Digests { input: input_digest(&mut input)?, operations: operations_digest(&planned) };
        let new_run = new_run(tenant, RunKind::Undo, &input, digests, (&order.target, &order.run), context);
        if let Some(begun) = beginning::begin(tenant, new_run, &mut input, &mut planned, lock_wait, context).await? {
            return Ok((begun, read));
        }
    }
}

/// Plans, and leaves what was changed since.
fn plan<T: Transport>(
    tenant: &Tenant<T>,
    input: &CheckedInput,
    left_behind: &LeftBehind,
    machines: MachinesRead,
    own: OwnWrites,
) -> Planned {
    let MachinesRead { inventory, progress, began_at } = machines;
    let machines = Resolution::of(&input.sheet.requests, Some(&inventory));
    let operations = Arc::clone(&input.operations);
    let nothing = RecentWrites::default();
    let mut plan = Plan::of(operations, machines, Some(&inventory), &nothing, UnlistedPolicy::default());
    leave_what_changed_since(&mut plan, &inventory, &own.recent, left_behind);
    Planned {
        plan,
        inventory: Some(inventory),
        read: Some(progress),
        read_from: Some(began_at),
        own,
        made_at: tenant.clock.boot_time(),
    }
}

/// What the run changed, from the store alone.
async fn changes<T: Transport>(tenant: &Tenant<T>, undone: &StoredRun) -> Result<Changes, CommandError> {
    let sheet = SheetWriter::new(&UNDO_HEADER, None);
    let mut changes = Changes { sheet, left_behind: LeftBehind::default(), counts: ChangeCounts::default() };
    let mut known_before = false;
    for RunSlot { slot, before, after, later, .. } in tenant.store.run_slots(undone.key).await? {
        known_before |= before != Held::Unknown;
        let change = SlotChange { slot, made: Made { before, left: after } };
        match change.inverse() {
            Inverse::NotNeeded => {}
            Inverse::Unknown => {
                changes.counts.unknown += 1;
                if let Some(in_place) = change.left_in_place() {
                    changes.add_row(in_place, &change).map_err(not_kept)?;
                }
            }
            Inverse::Operation(back) => {
                changes.add_row(back, &change).map_err(not_kept)?;
                for write in &later {
                    changes.left_behind.note_later(write.wrote, write.surely);
                }
                changes.counts.taken_back += 1;
            }
        }
    }
    if changes.counts.unknown > 0 && !known_before {
        return Err(CommandError::text(
            ExitStatus::InputRefused,
            format!(
                "run {} has no values from before, so there is nothing to go back to; nothing was changed",
                undone.description.run_id
            ),
            Some(
                "it was made with --no-inventory, the tenant's list did not show its machines or showed their tags in another \
                 case only, or an earlier call of ours to them was still without an answer; its results say which it changed",
            ),
        ));
    }
    Ok(changes)
}

impl Changes {
    /// A row that asks for this of the slot.
    fn add_row(&mut self, operation: Operation, change: &SlotChange) -> Result<(), InputError> {
        let Operation { machine, change: back } = operation;
        let (tag, action, value) = row_words(&back);
        self.sheet.begin_row(&[&machine.to_string(), tag, action, value])?;
        self.sheet.ask(MachineReference::Id(machine), &back);
        self.left_behind.note(change);
        Ok(())
    }
}

pub(super) fn not_kept(error: InputError) -> CommandError {
    CommandError::new(ExitStatus::StorageFailed, error, None)
}

fn describe(undone: &StoredRun, counts: ChangeCounts, planned: &Planned, report: &PlanReport<'_>) -> String {
    let about = &undone.description;
    let mut text = format!(
        "Taking back run {} of {}, started {}: {}.\n",
        about.run_id,
        Excerpt::new(&about.input_path),
        undone.created_at.strftime("%Y-%m-%d %H:%M UTC"),
        counted(counts.taken_back, "change", "changes"),
    );
    let left = planned.plan.count(Decision::ChangedSince);
    if left > 0 {
        text.push_str(&left_changed(left));
        text.push('\n');
    }
    if counts.unknown > 0 {
        text.push_str(&left_unknown(counts.unknown));
        text.push('\n');
    }
    text.push_str(&report.text());
    text
}

fn warn_of_what_is_left(counts: ChangeCounts, planned: &Planned, screen: &Screen) {
    let left = planned.plan.count(Decision::ChangedSince);
    if left > 0 {
        screen.warning(&left_changed(left));
    }
    if counts.unknown > 0 {
        screen.warning(&left_unknown(counts.unknown));
    }
}

fn left_changed(count: u64) -> String {
    counted(
        count,
        "change is not taken back: it was changed since, by a later run or from outside tagfleet (changed_since in the results)",
        "changes are not taken back: they were changed since, by a later run or from outside tagfleet (changed_since in the results)",
    )
}

fn left_unknown(count: u64) -> String {
    counted(
        count,
        "change is not taken back: what was there before is not known (unknown_before in the results)",
        "changes are not taken back: what was there before is not known (unknown_before in the results)",
    )
}
