//! Taking back what a run changed, as a run of its own.

use super::Desk;
use super::carrying_out::{Run, RunOptions, new_run_id};
use super::claim::claim;
use super::input::check_text;
use super::join::{input_digest, operations_digest};
use super::planning::{Planned, operations};
use super::record::record;
use super::resume::named;
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::input::Excerpt;
use crate::plan::changes::{Decision, Plan, PlanSettings};
use crate::plan::recent::{Held, RecentWrites};
use crate::plan::resolution::Resolution;
use crate::plan::undo::{Inverse, LeftBehind, SlotChange, leave_what_changed_since, row_words};
use crate::report::{PlanReport, ResultsTarget, Screen, group_digits};
use crate::store::{NewRun, RunKind, StoredRun};

/// What a run changed, as the rows that take it back.
struct Changes {
    /// As a file would ask for it.
    text: String,
    left_behind: LeftBehind,
    /// Operations without a value from before.
    unknown: u64,
    rows: u64,
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
    pub(crate) run: RunOptions,
}

/// Works out what takes the run back, asks, and does it.
pub(crate) async fn undo<T: Transport>(
    tenant: &Tenant<T>,
    order: UndoOrder,
    desk: &mut Desk,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    let undone = named(tenant, &order.run_id).await?;
    let changes = changes(tenant, &undone).await?;
    let name = format!("undo of {}", order.run_id);
    let mut input = check_text(name, changes.text.as_bytes(), &desk.screen)?;
    let (inventory, read) = tenant.read_machines(desk).await?;
    let recent = tenant.recent_writes().await?;
    let machines = Resolution::of(&input.sheet, Some(&inventory));
    let operations = operations(&input, &machines, &desk.screen)?;
    let nothing = RecentWrites::default();
    let mut plan = Plan::of(&input.sheet, operations, machines, Some(&inventory), &nothing, PlanSettings::default());
    leave_what_changed_since(&mut plan, &input.sheet, &inventory, &recent, &changes.left_behind);
    let planned = Planned { plan, inventory: Some(inventory), read: Some(read) };
    planned.refuse_too_many_changes(order.max_changes)?;
    if order.run.asks && planned.changes() > 0 {
        let report = planned.report(tenant, &input, order.run.bulk).await?;
        desk.ask(tenant.clock.as_ref(), tenant.gate.deadline, &describe(&undone, &changes, &planned, &report)).await?;
    } else {
        warn_of_what_is_left(&changes, &planned, &desk.screen);
    }
    let new_run = NewRun {
        run_id: new_run_id(tenant, &mut desk.random),
        kind: RunKind::Undo,
        input_digest: input_digest(&mut input)?,
        operations_digest: operations_digest(&input, &planned),
        account: tenant.account,
        host: tenant.host.clone(),
        input_path: input.path.clone(),
        results_path: order.target.absolute_path(),
        note: order.run.note.clone(),
        delimiter: input.sheet.dialect.delimiter,
        byte_order_mark: false,
        header: input.sheet.header.clone(),
        row_count: input.sheet.row_count,
    };
    let id = new_run.run_id.clone();
    let key = record(&tenant.store, new_run, input, &planned, true).await?;
    claim(&tenant.store, key, &tenant.patience(order.run.lock_wait), desk).await?;
    // Going on with it would do again what is being taken back.
    tenant.store.close_run(undone.key).await?;
    let read = planned.read.clone();
    drop(planned);
    let run = Run { tenant, key, id: &id, target: &order.target, options: &order.run };
    run.carry_out(read.as_ref(), desk).await
}

/// What the run changed, from the store alone.
async fn changes<T: Transport>(tenant: &Tenant<T>, undone: &StoredRun) -> Result<Changes, CommandError> {
    let mut changes = Changes {
        text: "machineId,tag,action,value\n".to_owned(),
        left_behind: LeftBehind::default(),
        unknown: 0,
        rows: 0,
    };
    let mut known_before = false;
    for slot in tenant.store.run_slots(undone.key).await? {
        known_before |= slot.before != Held::Unknown;
        let change = SlotChange { slot: slot.slot, before: slot.before, left: slot.after };
        match change.inverse() {
            Inverse::NotNeeded => {}
            Inverse::Unknown => changes.unknown += 1,
            Inverse::Operation(back) => {
                let (tag, action, value) = row_words(&back.change);
                changes.text.push_str(&csv_row(&[&back.machine.to_string(), tag, action, value]));
                changes.left_behind.note(change);
                for write in slot.later {
                    changes.left_behind.note_later(&write.slot, write.wrote, write.surely);
                }
                changes.rows += 1;
            }
        }
    }
    if changes.unknown > 0 && !known_before {
        return Err(CommandError::text(
            ExitStatus::InputRefused,
            format!(
                "run {} has no values from before, so nobody can tell what to go back to; nothing was changed",
                undone.description.run_id
            ),
            Some(
                "it was made with --no-inventory, or the tenant's list did not show its machines; its results say which it changed",
            ),
        ));
    }
    Ok(changes)
}

/// A row as CSV has it (RFC 4180).
fn csv_row(cells: &[&str]) -> String {
    let quoted: Vec<String> = cells
        .iter()
        .map(|cell| {
            if cell.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                (*cell).to_owned()
            }
        })
        .collect();
    format!("{}\n", quoted.join(","))
}

fn describe(undone: &StoredRun, changes: &Changes, planned: &Planned, report: &PlanReport<'_>) -> String {
    let about = &undone.description;
    let mut text = format!(
        "Taking back run {} of {}, begun {}: it changed {} things.\n",
        about.run_id,
        Excerpt::new(&about.input_path),
        undone.created_at.strftime("%Y-%m-%d %H:%M UTC"),
        group_digits(changes.rows),
    );
    let left = planned.plan.count(Decision::ChangedSince);
    if left > 0 {
        text.push_str(&left_changed(left));
        text.push('\n');
    }
    if changes.unknown > 0 {
        text.push_str(&left_unknown(changes.unknown));
        text.push('\n');
    }
    text.push_str(&report.text());
    text
}

fn warn_of_what_is_left(changes: &Changes, planned: &Planned, screen: &Screen) {
    let left = planned.plan.count(Decision::ChangedSince);
    if left > 0 {
        screen.warning(&left_changed(left));
    }
    if changes.unknown > 0 {
        screen.warning(&left_unknown(changes.unknown));
    }
}

fn left_changed(count: u64) -> String {
    let count = group_digits(count);
    format!(
        "{count} changes are left: a later run or somebody else has changed them since (changed_since in the results)"
    )
}

fn left_unknown(count: u64) -> String {
    format!("{} changes are left: nobody knows what was there before", group_digits(count))
}
