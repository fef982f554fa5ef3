//! `tagfleet undo`: takes back what a run changed, as a run of its own.

use std::path::{Path, PathBuf};

use jiff::Zoned;

use super::claim::claim;
use super::confirm::ask;
use super::input::check_text;
use super::join::{input_digest, operations_digest};
use super::planning::{Planned, operations};
use super::record::record;
use super::resume::{named, require_terminals};
use super::run::{Run, RunOptions, new_run_id};
use super::service::Service;
use super::tenant::{Tenant, system_clock};
use super::{CommandError, ExitStatus, stop_signals};
use crate::cli::{GeneralOptions, UndoOptions};
use crate::config::{ServiceConfig, is_sandbox_run, state_directory, until_deadline};
use crate::plan::changes::{Decision, Plan, PlanSettings};
use crate::plan::recent::{Held, RecentWrites};
use crate::plan::resolution::Resolution;
use crate::plan::undo::{Inverse, LeftBehind, MadeChange, inverse, leave_what_changed_since, row_words};
use crate::report::{PlanReport, ResultsTarget, Screen, group_digits};
use crate::store::{NewRun, OperationState, RunKind, StoredRun};

/// Operations that are read in one transaction.
const OPERATIONS_AT_ONCE: u32 = 10_000;

/// What a run changed, as the rows that take it back.
struct Changes {
    /// As a file would ask for it.
    text: String,
    left_behind: LeftBehind,
    /// Operations without a value from before.
    unknown: u64,
    rows: u64,
}

/// Works out what takes the run back, asks, and does it.
pub(super) async fn undo(
    options: UndoOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    if is_sandbox_run(&options.run) {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "a rehearsal cannot be undone: its sandbox went with it",
            Some("nothing of a rehearsal is left in any tenant"),
        ));
    }
    let asks = !options.limits.yes;
    require_terminals(asks)?;
    let environment = |name: &str| std::env::var_os(name);
    let directory = state_directory(general.state_dir.as_deref(), &environment)?;
    let target = match &options.output {
        Some(path) if path == Path::new("-") && general.json => {
            let message = "results and --json cannot both go to standard output";
            return Err(CommandError::text(ExitStatus::Usage, message, Some("name a file with -o")));
        }
        Some(path) if path == Path::new("-") => ResultsTarget::StandardOutput,
        Some(path) => ResultsTarget::file(path.clone()),
        None => ResultsTarget::file(PathBuf::from(format!("undo-{}.results.csv", options.run))),
    };
    target.check(None)?;
    let clock = system_clock()?;
    let deadline =
        options.limits.deadline.map(|deadline| clock.boot_time().plus(until_deadline(deadline, &Zoned::now())));
    let service = Service::connect(&ServiceConfig::from_options(&options.service, &environment)?)?;
    let mut stop_requests = stop_signals::listen();
    let opening = Tenant::open(service, &directory, clock, &options.quota, deadline, &mut stop_requests);
    let (tenant, interrupted) = opening.await?;
    if interrupted {
        let message = "interrupted before anything was sent";
        return Err(CommandError::text(ExitStatus::StoppedEarly, message, None));
    }
    let undone = named(&tenant, &options.run).await?;
    let changes = changes(&tenant, &undone).await?;
    let name = format!("undo of {}", options.run);
    let mut input = check_text(name, changes.text.as_bytes(), screen)?;
    let (inventory, read) = tenant.read_machines(screen, general.quiet, &mut stop_requests).await?;
    let recent = tenant.recent_writes().await?;
    let machines = Resolution::of(&input.sheet, Some(&inventory));
    let operations = operations(&input, &machines, screen)?;
    let nothing = RecentWrites::default();
    let mut plan = Plan::of(&input.sheet, operations, machines, Some(&inventory), &nothing, PlanSettings::default());
    leave_what_changed_since(&mut plan, &input.sheet, &inventory, &recent, &changes.left_behind);
    let planned = Planned { plan, inventory: Some(inventory), read: Some(read) };
    planned.refuse_too_many_changes(options.max_changes)?;
    if asks && planned.changes() > 0 {
        let destination = tenant.service.description();
        let report = planned.report(&tenant, &input, &destination, bulk_limit(options.no_bulk)).await?;
        ask(screen, &describe(&undone, &changes, &planned, &report)).await?;
    } else {
        warn_of_what_is_left(&changes, &planned, screen);
    }
    let run_options = RunOptions {
        target,
        json: general.json,
        quiet: general.quiet,
        sandbox: false,
        bulk: !options.no_bulk,
        maximum_errors: options.limits.max_errors,
        named_state_directory: general.state_dir.clone(),
    };
    let new_run = NewRun {
        run_id: new_run_id(false),
        kind: RunKind::Undo,
        input_digest: input_digest(&mut input)?,
        operations_digest: operations_digest(&input, &planned),
        account: tenant.account,
        host: tenant.service.host().to_owned(),
        input_path: input.name.clone(),
        results_path: run_options.target.absolute_path(),
        note: options.limits.note.clone(),
        delimiter: input.sheet.dialect.delimiter,
        byte_order_mark: false,
        header: input.sheet.header.clone(),
        row_count: input.sheet.row_count,
    };
    let run_id = new_run.run_id.clone();
    let run = record(&tenant.store, new_run, input, &planned, true).await?;
    let patience = tenant.patience(options.others.lock_wait, general.quiet);
    claim(&tenant.store, run, &patience, &mut stop_requests, screen).await?;
    // Going on with it would do again what is being taken back.
    tenant.store.close_run(undone.key).await?;
    let read = planned.read.clone();
    drop(planned);
    let run = Run { tenant: &tenant, key: run, id: &run_id, options: &run_options, screen };
    let status = run.carry_out(read.as_ref(), &mut stop_requests).await;
    tenant.close().await;
    status
}

const fn bulk_limit(no_bulk: bool) -> usize {
    if no_bulk { 1 } else { crate::api::BULK_MAXIMUM_MACHINES }
}

/// What the run changed, from the store alone.
async fn changes(tenant: &Tenant, undone: &StoredRun) -> Result<Changes, CommandError> {
    let mut changes = Changes {
        text: "machineId,tag,action,value\n".to_owned(),
        left_behind: LeftBehind::default(),
        unknown: 0,
        rows: 0,
    };
    let mut known_before = false;
    let mut last = None;
    loop {
        let known = tenant.store.known_operations(undone.key, last, OPERATIONS_AT_ONCE).await?;
        let Some(end) = known.last() else { break };
        last = Some(end.id);
        for operation in known {
            known_before |= operation.before.is_some();
            // What was never answered may have been done; whether it was, the inventory will show.
            let may_be_done = matches!(operation.state, OperationState::Succeeded | OperationState::Unknown);
            if !(may_be_done || operation.ambiguous) {
                continue;
            }
            let before = operation.before.as_deref().map_or(Held::Unknown, Held::parse);
            match inverse(&MadeChange { operation: operation.operation.clone(), before }) {
                Inverse::NotNeeded => {}
                Inverse::Unknown => changes.unknown += 1,
                Inverse::Operation(back) => {
                    changes.left_behind.note(&operation.operation);
                    let (tag, action, value) = row_words(&back.change);
                    changes.text.push_str(&csv_row(&[&back.machine.to_string(), tag, action, value]));
                    changes.rows += 1;
                }
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
    for (machine, tag) in tenant.store.changed_later(undone.key).await? {
        let tag = tag.as_deref().map(crate::model::Tag::new).transpose();
        if let Ok(tag) = tag {
            changes.left_behind.forget(&machine, tag.as_ref());
        }
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
        crate::input::Excerpt::new(&about.input_path),
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
