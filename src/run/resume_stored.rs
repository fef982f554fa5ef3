//! Resuming a run as it is stored, for every command that wants that.
//!
//! The run stays as it is, row by row. But before anything is sent, the list of today and our own later writes decide about each
//! of its operations again, under the options of this invocation.

use serde_json::json;

use super::RunContext;
use super::carrying_out::{Run, RunOrder, rows_status};
use super::claim::claim_by_name;
use super::deciding_again::{DecidedRun, decide_again};
use super::planning::{PlanningOrder, end_reason, is_stale, refuse_too_many};
use super::tenant::Tenant;
use super::today::AskedWhen;
use crate::api::Transport;
use crate::dispatch::EndReason;
use crate::exit::{CommandError, ExitStatus};
use crate::input::Excerpt;
use crate::listing::ReadProgress;
use crate::report::{Ending, ResultsTarget, tally};
use crate::store::{RunKey, RunState, StoredRun};
use crate::words::counted;

/// How a run is resumed.
#[derive(Clone, Copy)]
pub(super) struct Resuming<'a> {
    /// Where its results go.
    pub(super) target: &'a ResultsTarget,
    /// How what is left is planned.
    pub(super) planning: PlanningOrder,
    /// How it is carried out.
    pub(super) options: &'a RunOrder,
    /// When it was asked for.
    pub(super) asked: AskedWhen,
    /// The run that it takes back, which must have been claimed: it is closed before anything is sent.
    pub(super) taken_back: Option<RunKey>,
}

/// Takes a run over, sends what is left of it, and answers every row.
pub(super) async fn resume_stored<T: Transport>(
    tenant: &Tenant<T>,
    stored: &StoredRun,
    how: Resuming<'_>,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    let Resuming { target, options, taken_back, .. } = how;
    let stored = &claim_by_name(tenant, stored, options.lock_wait, context).await?;
    let (key, id) = (stored.key, &stored.description.run_id);
    tenant.store.check_rows(stored).await?;
    tenant.store.take_over(key).await?;
    // What is resumed is young from now on.
    tenant.prune(options.keep_runs, context).await?;
    if context.reading_options.is_empty()
        && let Some(last) = tenant.store.sessions(key).await?.pop()
    {
        context.reading_options = last.reading_options;
    }
    let run = Run { tenant, key, id, target, options, selected_from: None, rule_tally: None };
    let mut calls = ReadProgress::default();
    let decided = match plan_and_ask(tenant, stored, how, &mut calls, context).await {
        Ok(Ok(decided)) => decided,
        Ok(Err(reason)) => return run.give_up(how.asked, reason, context).await,
        Err(error) => {
            tenant.store.leave_run(key).await?;
            return Err(error);
        }
    };
    if decided.unread > 0 {
        tenant.store.leave_run(key).await?;
        return Err(never_read(stored));
    }
    let changes = decided.changes;
    if changes == 0 && !decided.settles_doubt && stored.state == RunState::Finished {
        // Its results say what was so when it ended; written now they would say it of today.
        tenant.store.leave_run(key).await?;
        let totals = tally(&tenant.store, stored, options.skip_missing_machines).await?;
        if let Some(live_status) = &context.live_status {
            live_status.note_rows(&totals);
        }
        let text = format!(
            "Run {id} is already finished; nothing is left to send. Write its results again with: tagfleet results {id}"
        );
        return nothing_left(Some(stored), &text, rows_status(&totals), context);
    }
    decided.store(&tenant.store, key).await?;
    if let Some(run) = taken_back {
        tenant.store.close_run(run).await?;
    }
    if let Some(note) = options.kept_note() {
        tenant.store.set_note(key, note).await?;
    }
    context.say(&format!("Resuming run {id}: {}.", operations_left(changes)));
    run.carry_out((calls.calls > 0).then_some(&calls), context).await
}

/// Its machines are known by their names only, and only its input says what was meant by them.
fn never_read(stored: &StoredRun) -> CommandError {
    let about = &stored.description;
    CommandError::text(
        ExitStatus::InputRefused,
        format!("run {} ended before it had read the tenant's machines, so it cannot be resumed", about.run_id),
        Some(&format!("nothing was sent; run its file again: tagfleet apply {}", Excerpt::new(&about.input_path))),
    )
}

/// Says that there is nothing to resume. A run ends as it had ended.
pub(super) fn nothing_left(
    run: Option<&StoredRun>,
    text: &str,
    status: ExitStatus,
    context: &RunContext,
) -> Result<ExitStatus, CommandError> {
    if context.json {
        let about = run.map(|run| &run.description);
        let (run_id, input) = (about.map(|about| &about.run_id), about.map(|about| &about.input_path));
        let object = json!({"run_id": run_id, "input": input, "open": 0});
        context.screen.object(object, &Ending::finished(status.code()))?;
    } else {
        context.say(text);
    }
    Ok(status)
}

/// Decides about what is left, and asks, until what was decided is answered while it is fresh.
async fn plan_and_ask<T: Transport>(
    tenant: &Tenant<T>,
    stored: &StoredRun,
    how: Resuming<'_>,
    calls: &mut ReadProgress,
    context: &mut RunContext,
) -> Result<Result<DecidedRun, EndReason>, CommandError> {
    let Resuming { planning, options, asked, .. } = how;
    loop {
        let decided = match decide_again(tenant, stored, planning, asked, calls, context).await? {
            Ok(decided) => decided,
            Err(error) => return Ok(Err(end_reason(error))),
        };
        let decided_at = tenant.clock.boot_time();
        refuse_too_many(decided.changes, planning.max_changes, planning.settings.guard, decided.listed)?;
        if options.asks && decided.changes > 0 {
            let text = describe(stored, decided.changes, tenant);
            context.ask(tenant.clock.as_ref(), tenant.gate.deadline, &text).await?;
        }
        if !is_stale(decided_at, tenant, context) {
            return Ok(Ok(decided));
        }
    }
}

/// The run of this name, if it is this tenant's.
pub(super) async fn named<T: Transport>(tenant: &Tenant<T>, run_id: &str) -> Result<StoredRun, CommandError> {
    let run = tenant.store.run_by_id(run_id).await?;
    if run.description.account == tenant.account && run.description.host == tenant.host {
        return Ok(run);
    }
    Err(CommandError::text(
        ExitStatus::InputRefused,
        format!("run {run_id} belongs to another tenant, app or API host, so nothing was sent"),
        Some("look at it with: tagfleet runs RUN, and sign in to its tenant with its app"),
    ))
}

fn describe<T: Transport>(run: &StoredRun, changes: u64, tenant: &Tenant<T>) -> String {
    let about = &run.description;
    format!(
        "Run {} of {}, started {}, on {}: {}.",
        about.run_id,
        Excerpt::new(&about.input_path),
        run.created_at.strftime("%Y-%m-%d %H:%M UTC"),
        tenant.description,
        operations_left(changes),
    )
}

/// So many operations are still to be done.
pub(super) fn operations_left(operations: u64) -> String {
    counted(operations, "operation is left", "operations are left")
}
