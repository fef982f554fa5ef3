//! A run from its first call to its last line: sends, answers every row, says how it ended. What `apply` and every other
//! command that changes a tenant have in common.

use std::sync::Arc;
use std::time::Duration;

use super::RunContext;
use super::deciding_again::decide_without_list;
use super::foretelling::{foretell, session};
use super::order_digest::OrderDigest;
use super::tenant::Tenant;
use super::today::AskedWhen;
use crate::api::{CallKind, Transport};
use crate::dispatch::{DispatchError, DispatchSettings, EndReason, MaximumErrors, Progress, Spent, dispatch};
use crate::exit::{CommandError, ExitStatus, end_status};
use crate::listing::ReadProgress;
use crate::model::Status;
use crate::outside::{Outside, shown};
use crate::report::{
    Page, PageTarget, ProgressReport, ResultsError, ResultsTarget, RunSummary, Screen, Totals, causes, describe_end,
    joined, kept_text, write_results,
};
use crate::rules::{RULES_HEADER, RuleTally};
use crate::store::{NewRunSession, Reader, RunKey, RunState, StoreError, StoredRun};
use crate::words::counted;

/// How a run is carried out, whatever it does.
#[derive(Clone, Debug)]
pub(crate) struct RunOrder {
    /// Whether the user is asked before the first change.
    pub(crate) asks: bool,
    /// Whether one tag is changed on many machines in one call.
    pub(crate) bulk: bool,
    /// When to stop because of failures.
    pub(crate) maximum_errors: MaximumErrors,
    /// Whether rows whose machine is gone are no failures.
    pub(crate) skip_missing_machines: bool,
    /// How long to wait for a run that is in the way; `None` is not at all.
    pub(crate) lock_wait: Option<Duration>,
    /// A change number or remark that is kept with the run.
    pub(crate) note: Option<String>,
    /// Runs that have been left alone for longer are forgotten.
    pub(crate) keep_runs: Duration,
    /// Where its report goes, if one is wanted.
    pub(crate) report: Option<PageTarget>,
}

impl RunOrder {
    /// The remark as it is stored: without the secrets of this process.
    pub(super) fn kept_note(&self) -> Option<String> {
        self.note.as_deref().map(|note| Outside::new(note).json())
    }
}

/// A run that is stored.
pub(super) struct Run<'a, T> {
    pub(super) tenant: &'a Tenant<T>,
    pub(super) key: RunKey,
    pub(super) id: &'a str,
    pub(super) target: &'a ResultsTarget,
    pub(super) options: &'a RunOrder,
    /// How many rows its input has, where a filter selected among them and it is known.
    pub(super) selected_from: Option<u32>,
    /// What the rules came to that made its rows, where that is known.
    pub(super) rule_tally: Option<&'a RuleTally>,
}

impl<T: Transport> Run<'_, T> {
    /// Sends what is to be sent, and answers every row. `read` is what reading the machines took.
    pub(super) async fn carry_out(
        &self,
        read: Option<&ReadProgress>,
        context: &mut RunContext,
    ) -> Result<ExitStatus, CommandError> {
        tracing::info!(run = %self.id, host = self.tenant.host, "calls begin");
        let mut outcome = self.send(context).await;
        if let (Ok((_, progress)), Some(read)) = (&mut outcome, read) {
            add_read(progress, read);
        }
        self.conclude(outcome, context).await
    }

    /// Answers the rows of a run that was asked for then and ended before its first write.
    pub(super) async fn give_up(
        &self,
        asked: AskedWhen,
        reason: EndReason,
        context: &RunContext,
    ) -> Result<ExitStatus, CommandError> {
        decide_without_list(&self.tenant.store, self.id, asked).await?;
        self.give_way(&reason, &context.screen).await?;
        self.tenant.store.leave_run(self.key).await?;
        self.tenant.store.begin_session(self.key, session(self.tenant, &context.reading_options)).await?;
        let mut progress = Progress::default();
        add_read(&mut progress, &self.tenant.failed_reading());
        self.conclude(Ok((reason, progress)), context).await
    }

    async fn send(&self, context: &mut RunContext) -> Result<(EndReason, Progress), DispatchError> {
        let Self { tenant, key, options, .. } = self;
        let settings = DispatchSettings {
            gate: tenant.gate.clone(),
            bulk: options.bulk,
            maximum_errors: options.maximum_errors,
            tick: context.tick,
            seed: context.random.u64(..),
        };
        tenant.store.set_run_state(*key, RunState::Running).await?;
        let foretold = foretell(tenant, *key, options.bulk).await?;
        let session = NewRunSession { foretold, ..session(tenant, &context.reading_options) };
        tenant.store.begin_session(*key, session).await?;
        tenant.store.keep_a_copy(*key).await;
        let mut report = (ProgressReport::new(context.screen.clone(), context.quiet), context.live_status.clone());
        let (transport, clock, stop_requests) =
            (Arc::clone(&tenant.transport), tenant.clock.clone(), &mut context.stop_requests);
        let (reason, progress) =
            dispatch(transport, &tenant.store, clock, *key, settings, &mut report, stop_requests).await?;
        let reason = self.note_end(reason, &context.screen).await.unwrap_or_else(EndReason::StoreFailed);
        Ok((reason, progress))
    }

    /// Notes in the state that the calls are over, and why. Where nothing can be stored any more, the run stays as it is.
    async fn note_end(&self, reason: EndReason, screen: &Screen) -> Result<EndReason, StoreError> {
        if matches!(reason, EndReason::StoreFailed(_)) {
            return Ok(reason);
        }
        let Self { tenant: Tenant { store, .. }, key, .. } = self;
        let is_done = matches!(reason, EndReason::Finished) || store.open_operations(*key).await? == 0;
        let reason = match reason {
            // The wish to stop came when everything was done.
            EndReason::Interrupted | EndReason::Halted | EndReason::Deadline if is_done => EndReason::Finished,
            reason => reason,
        };
        let state = if is_done { RunState::Finished } else { RunState::Stopped };
        self.give_way(&reason, screen).await?;
        store.set_run_state(*key, state).await?;
        store.look_through().await?;
        Ok(reason)
    }

    /// What the run found so, another run of ours may have changed meanwhile: nothing was sent that would keep it so.
    async fn give_way(&self, reason: &EndReason, screen: &Screen) -> Result<(), StoreError> {
        // Every rehearsal has a tenant of its own.
        if matches!(reason, EndReason::StoreFailed(_)) || self.tenant.is_sandbox {
            return Ok(());
        }
        let overtaken = self.tenant.store.give_way(self.key).await?;
        if overtaken > 0 {
            screen.warning(&counted(
                overtaken,
                "change was already set, and another run has undone it meanwhile (changed_since in the results)",
                "changes were already set, and other runs have undone them meanwhile (changed_since in the results)",
            ));
        }
        Ok(())
    }

    /// Writes the results, whatever happened, and says how it all ended.
    async fn conclude(
        &self,
        outcome: Result<(EndReason, Progress), DispatchError>,
        context: &RunContext,
    ) -> Result<ExitStatus, CommandError> {
        let screen = &context.screen;
        let began_to_write = self.tenant.clock.boot_time();
        let written = self.write(&outcome, context).await;
        let writing_took = self.tenant.clock.boot_time().since(began_to_write);
        let (reason, mut progress) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                if let Err(error) = written {
                    screen.problem(&CommandError::from(error).problem);
                }
                return Err(error.into());
            }
        };
        let repeated_options = context.repeated_options.as_str();
        let (run, totals, open) = match written {
            Ok(written) => written,
            Err(error) => {
                let is_damage = matches!(&error, ResultsError::Store(error) if error.is_damage());
                let mut error = CommandError::from(error).of_run(self.id);
                // It was there when it began, whatever the state says now.
                error.status = ExitStatus::StorageFailed;
                let stored = self.tenant.store.run_details(self.id).await.ok().filter(|_| !is_damage);
                screen.line(&describe_end(self.id, &reason, stored.as_ref().map(|run| &run.entry), &progress));
                if stored.is_some() {
                    let command = self.target.command_to_write_again(self.id, repeated_options);
                    let again = format!("the run is stored; write its results again with: {command}");
                    let hint = error.problem.hint.map_or(again.clone(), |hint| format!("{hint}; {again}"));
                    error.problem.hint = Some(hint);
                }
                return Err(error);
            }
        };
        let status = exit_status(&reason, &totals).and(balance(&run, &totals));
        tracing::info!(run = %self.id, exit_status = status.code(), rows = totals.rows, "run is over");
        context.waits.iter().for_each(|(whom, time)| progress.spend(*whom, *time));
        progress.spend(Spent::Results, writing_took);
        progress.end(self.tenant.clock.boot_time().since(context.began));
        let summary = RunSummary {
            run_id: self.id,
            reason: &reason,
            progress: &progress,
            totals: &totals,
            target: self.target,
            open,
            repeated_options: &context.calling_options,
            reading_options: &context.reading_options,
            resuming_options: &context.resuming_options,
            sandbox: self.tenant.is_sandbox,
            exit_status: status.code(),
            input: &run.description.input_path,
            selected_from: self.selected_from,
        };
        self.end_session(&summary).await;
        if let Some(live_status) = &context.live_status {
            live_status.note_end(status.code());
        }
        let report = self.report(context).await;
        let shown = show(&summary, self.rule_tally, status, context).await;
        if let Some(report) = report {
            context.say(&report);
        }
        shown.map(|()| status)
    }

    /// What cannot be noted is missing in the report, and nowhere else.
    async fn end_session(&self, summary: &RunSummary<'_>) {
        if let Err(error) = self.tenant.store.end_session(self.key, summary.session_end()).await {
            tracing::debug!(%error, "the end of the run is not noted for its report");
        }
    }

    /// Says where the report is. One that cannot be made changes nothing of the run.
    async fn report(&self, context: &RunContext) -> Option<String> {
        let target = self.options.report.as_ref()?;
        let made =
            Page::of(&self.tenant.store, self.id, &context.repeated_options, self.tenant.clock.wall_time()).await;
        let written = match made {
            Ok(page) => {
                let (to, screen, page) = (target.clone(), context.screen.clone(), page.html());
                aside(context, move || to.write(&page, &screen)).await
            }
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(()) => return Some(format!("Report: {target}")),
            Err(error) => context.screen.warning(&format!("{}; nothing else depends on it", shown(&causes(&error)))),
        }
        None
    }

    /// Writes the results from the state, or from the copy of the run where the state was harmed under way or is away.
    async fn write(&self, outcome: &Result<(EndReason, Progress), DispatchError>, context: &RunContext) -> Written {
        let harm = match outcome {
            Ok((EndReason::StoreFailed(error), _)) | Err(DispatchError::Store(error)) => Some(error),
            _ => None,
        };
        let copy = self.tenant.store.copy_of_run().await;
        match (copy, harm.is_some_and(StoreError::is_damage)) {
            // Nothing can be resumed where the state is harmed.
            (Some(copy), true) => self.write_from(&copy, context).await.map(|(run, totals, _open)| (run, totals, 0)),
            // What was stored last is gone there, and known here; the run is resumed from what is left of it.
            (Some(copy), false) if harm.is_some_and(StoreError::is_loss_of_commits) => {
                let open = match self.tenant.store.run_by_id(self.id).await {
                    Ok(run) => self.tenant.store.open_operations(run.key).await?,
                    Err(_it_is_gone) => 0,
                };
                self.write_from(&copy, context).await.map(|(run, totals, _open)| (run, totals, open))
            }
            (copy, _) => match (self.write_from(&self.tenant.store, context).await, copy) {
                (Err(ResultsError::Store(error)), Some(copy)) if error.is_damage() => {
                    self.write_from(&copy, context).await.and(Err(error.into()))
                }
                // It knows the same, and the state is resumed once it is back.
                (Err(ResultsError::Store(away)), Some(copy)) => {
                    if harm.is_none() {
                        let why = shown(&causes(&away));
                        context.screen.warning(&format!(
                            "{why}; the results come from the copy of the run that was kept meanwhile"
                        ));
                    }
                    self.write_from(&copy, context).await
                }
                (written, _) => written,
            },
        }
    }

    async fn write_from(&self, store: &Reader, context: &RunContext) -> Written {
        let run = store.run_by_id(self.id).await?;
        let mut totals =
            write_results(store, &run, self.target, self.options.skip_missing_machines, &context.screen).await?;
        // Rows of rules, and rows that were withheld, would pass by the guard as a file of their own: the same input is to be
        // run again.
        totals.lacks_orders = run.description.header == RULES_HEADER
            || totals.has_withheld()
            || totals.unsaid > 0
            || OrderDigest::says_changes(&run.description.input_digest);
        if let Some(live_status) = &context.live_status {
            live_status.note_rows(&totals);
        }
        let open = store.open_operations(run.key).await?;
        Ok((run, totals, open))
    }
}

/// A run whose results are written, with its totals and how many of its operations are still open.
type Written = Result<(StoredRun, Totals, u32), ResultsError>;

/// The calls that read the tenant's machines belong to the run, too.
fn add_read(progress: &mut Progress, read: &ReadProgress) {
    *progress.calls.entry(CallKind::List).or_default() += read.calls;
    progress.throttled += read.throttled;
    progress.retried += read.retried;
    progress.in_the_way = progress.in_the_way.or(read.in_the_way);
    progress.spend(Spent::SignIn, read.signing_in);
    progress.spend(Spent::Machines, read.elapsed.saturating_sub(read.signing_in));
}

/// Shows the summary, however slowly it is read.
async fn show(
    summary: &RunSummary<'_>,
    rule_tally: Option<&RuleTally>,
    status: ExitStatus,
    context: &RunContext,
) -> Result<(), CommandError> {
    let screen = &context.screen;
    if status == ExitStatus::Bug {
        screen.line(
            "error: the outcomes do not add up: the rows in the results are not those of the input; report this as a bug",
        );
    }
    // What needs attention belongs into a script's mail, too.
    let is_well = status == ExitStatus::Done && matches!(summary.reason, EndReason::Finished);
    let text = summary.text(screen);
    let on_standard_output = *summary.target == ResultsTarget::StandardOutput;
    let (is_json, is_quiet) = (context.json, context.quiet);
    if is_json && is_well && !summary.totals.kept.is_empty() {
        context.say(&kept_text(&summary.totals.kept));
    }
    let object = is_json.then(|| {
        let own = rule_tally.map_or_else(|| summary.json(), |tally| joined(summary.json(), tally.json()));
        (own, summary.ending())
    });
    let print = move |screen: &Screen| {
        if let Some((own, ending)) = object {
            if !is_well {
                screen.line(text.trim_end());
            }
            return screen.object(own, &ending);
        }
        match (is_quiet && status == ExitStatus::Done, on_standard_output || is_quiet) {
            (true, _) => {}
            (_, true) => screen.line(text.trim_end()),
            (_, false) => screen.tell(&text),
        }
        Ok(())
    };
    let screen = screen.clone();
    aside(context, move || print(&screen)).await.map_err(|error| {
        let hint = format!("the results are written; what became of the run says: tagfleet runs {}", summary.run_id);
        CommandError::new(ExitStatus::StorageFailed, error, Some(hint))
    })
}

/// Does what may stand still for want of a reader: metrics and pings tell meanwhile that the work is done.
async fn aside<Output: Send + 'static>(context: &RunContext, work: impl FnOnce() -> Output + Send + 'static) -> Output {
    if context.live_status.is_none() {
        return work();
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// How a run that ended for this reason ends the process.
fn exit_status(reason: &EndReason, totals: &Totals) -> ExitStatus {
    end_status(reason).and(rows_status(totals))
}

/// How the rows of a run alone would end the process.
pub(super) fn rows_status(totals: &Totals) -> ExitStatus {
    let bad_rows: u64 =
        [Status::Failed, Status::Unknown, Status::Invalid].into_iter().map(|status| totals.count(status)).sum();
    // What the guard withholds is to be looked at.
    if bad_rows > totals.tolerated || totals.has_withheld() { ExitStatus::RowsFailed } else { ExitStatus::Done }
}

/// Every row of the input must have exactly one answer.
fn balance(run: &StoredRun, totals: &Totals) -> ExitStatus {
    let answered: u64 = totals.statuses.values().sum();
    let rows = u64::from(run.description.row_count);
    if totals.rows == rows && answered == rows { ExitStatus::Done } else { ExitStatus::Bug }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{AbortCause, ServiceTrouble};

    #[test]
    fn the_exit_status_tells_bad_rows_from_a_run_that_stopped() {
        let outage = EndReason::Outage { since: jiff::Timestamp::UNIX_EPOCH, trouble: ServiceTrouble::Status(503) };
        let unset = crate::api::sign_in::SignInError::Settings { problem: "no".into(), hint: None };
        let totals = |status| Totals { rows: 1, statuses: [(status, 1)].into(), ..Totals::default() };
        let table = [
            (EndReason::Finished, Status::Succeeded, ExitStatus::Done),
            (EndReason::Finished, Status::NotAttempted, ExitStatus::Done),
            (EndReason::Finished, Status::Failed, ExitStatus::RowsFailed),
            (EndReason::Finished, Status::Unknown, ExitStatus::RowsFailed),
            (EndReason::Finished, Status::Invalid, ExitStatus::RowsFailed),
            (EndReason::Interrupted, Status::Failed, ExitStatus::StoppedEarly),
            (EndReason::Deadline, Status::Succeeded, ExitStatus::StoppedEarly),
            (outage, Status::Unknown, ExitStatus::StoppedEarly),
            (EndReason::Forbidden { message: None }, Status::Failed, ExitStatus::ServiceRefused),
            (EndReason::Aborted(AbortCause::TokenRefused), Status::Failed, ExitStatus::ServiceRefused),
            (EndReason::Aborted(AbortCause::SignIn(unset)), Status::Succeeded, ExitStatus::ServiceRefused),
        ];
        for (reason, status, expected) in table {
            assert_eq!(exit_status(&reason, &totals(status)), expected, "{reason:?} {status}");
        }
    }
}
