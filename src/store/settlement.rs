//! Closing attempts: with their answers, in one transaction with what those did, or without, when nobody will hear them.

use std::borrow::Cow;

use jiff::Timestamp;

use super::attempt::{AttemptEnd, AttemptKey, OperationEffect, Settlement};
use super::encoding::bucket_number;
use super::encoding::decode_operations;
use super::forms::{OperationState, RunKey};
use super::ledger::{PausedUntil, pause};
use super::runs::note_activity;
use super::sql::deeds::Deed;
use super::sql::{Optional, SqlError, Transaction, params};
use super::timelines::Timelines;
use super::{Store, StoreError};
use crate::clock::{BootTime, Clock};
use crate::quota::ages::given_up;

impl Store {
    /// Closes an attempt and writes down what it did.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails: nothing of the answer may be shown.
    pub async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let clock = self.clock.clone();
        let identity = self.identity.clone();
        // It may be stored later, when a server is back that was away.
        let (heard, heard_at) = (clock.boot_time(), clock.wall_time());
        let kept = self.patience.keep_answer();
        self.note_settled(&settlement).await;
        let is_ours = self
            .writer
            .run(move |transaction| {
                transaction.may_be_lost();
                let own = identity.timeline_key;
                let timelines = Timelines::report(transaction, own, clock.as_ref())?;
                let numbered = settlement.numbered(transaction.number_now(settlement.attempt.0));
                let Closed::Ours(run_key) = close(transaction, &numbered, heard)? else { return Ok(false) };
                note_answer(transaction, run_key, &numbered, heard_at, &timelines, clock.as_ref())?;
                drop(numbered);
                transaction.can_be_repeated(|| {
                    Deed::new(settlement.effects.len(), move |transaction, renumbered| {
                        let number = settlement.attempt.0;
                        let settlement = settlement.numbered(renumbered.get(&number).copied().unwrap_or(number));
                        let timelines = Timelines::report(transaction, own, clock.as_ref())?;
                        close_again(transaction, &settlement, heard)?;
                        note_answer(transaction, run_key, &settlement, heard_at, &timelines, clock.as_ref())
                    })
                });
                Ok(true)
            })
            .await?;
        kept.stored();
        if is_ours { Ok(()) } else { Err(StoreError::TakenOver) }
    }

    /// Closes the attempts of a run that this process will not hear of any more: each may still arrive, and its operations
    /// may have taken effect.
    pub async fn abandon_open_attempts(&self, run: RunKey) -> Result<(), StoreError> {
        let clock = self.clock.clone();
        let process_key = self.identity.process_key;
        self.writer
            .run_repeatable(1, move |transaction| {
                let ended = given_up(clock.boot_time()).as_microseconds();
                close_unheard_attempts(transaction, &Unheard::InFlight(run, process_key), Some(ended), "abandoned")
            })
            .await
    }

    /// The same for attempts whose process died, or could not store their answers.
    pub(super) async fn settle_lost_attempts(&self, run: RunKey) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| close_unheard_attempts(transaction, &Unheard::OfRun(run), None, "lost"))
            .await
    }
}

impl Settlement {
    /// The same for the number that its attempt has now.
    fn numbered(&self, number: i64) -> Cow<'_, Self> {
        if self.attempt.0 == number {
            Cow::Borrowed(self)
        } else {
            Cow::Owned(Self { attempt: AttemptKey(number), ..self.clone() })
        }
    }
}

/// Whose attempts are closed.
pub(super) enum Unheard {
    /// Those of a run, whoever made them: nobody is at it any more.
    OfRun(RunKey),
    /// Those of a run that this process has in flight.
    InFlight(RunKey, i64),
    /// Those of a process that is dead.
    OfProcess(i64),
}

/// Gives attempts without a verdict one, and notes that their operations may have taken effect. Those that have no end
/// yet get this one, or the one that was assumed when they were let through.
pub(super) fn close_unheard_attempts(
    transaction: &Transaction<'_>,
    whose: &Unheard,
    ended: Option<i64>,
    verdict: &str,
) -> Result<(), SqlError> {
    let condition = match whose {
        Unheard::OfRun(run) => format!("run_key = {}", run.0),
        Unheard::InFlight(run, process) => format!("run_key = {} AND process_key = {process} AND ended IS NULL", run.0),
        Unheard::OfProcess(process) => format!("run_key IS NOT NULL AND process_key = {process}"),
    };
    let attempts = transaction
        .prepare_cached(&format!(
            "SELECT attempt_key, run_key, operations FROM attempt WHERE verdict IS NULL AND {condition}"
        ))?
        .query_map(params![], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(i64, i64, Vec<u8>)>, _>>()?;
    let mut close = transaction.prepare_cached(
        "UPDATE attempt SET ended = coalesce(ended, ?2, assumed_end), verdict = ?3 WHERE attempt_key = ?1",
    )?;
    let mut doubt = transaction.prepare_cached(
        "UPDATE operation SET ambiguous = 1, attempts = attempts + 1, last_attempt = ?3, error_code = 'interrupted',
             error_message = 'the run was stopped before the answer came'
         WHERE run_key = ?1 AND operation_number = ?2 AND state IN (0, 6)",
    )?;
    for (attempt_key, run_key, operations) in attempts {
        close.execute(params![attempt_key, ended, verdict])?;
        for number in decode_operations(&operations) {
            doubt.execute(params![run_key, number, attempt_key])?;
        }
    }
    Ok(())
}

/// What came of closing an attempt.
enum Closed {
    /// It is closed, and was one of this run, if of any.
    Ours(Option<i64>),
    /// Somebody took us for dead and closed it; what became of it is theirs to find out.
    ByOthers,
}

fn ended(settlement: &Settlement, heard: BootTime) -> Option<BootTime> {
    match settlement.end {
        AttemptEnd::Now => Some(heard),
        AttemptEnd::GivenUp => Some(given_up(heard)),
        AttemptEnd::NeverSent => None,
    }
}

const STRIKE_OUT: &str = "DELETE FROM attempt WHERE attempt_key = ?1";
const CLOSE: &str = "UPDATE attempt SET ended = ?2, http_status = ?3, verdict = ?4, request_id = ?5
     WHERE attempt_key = ?1 AND verdict IS NULL RETURNING run_key";

fn close(transaction: &Transaction<'_>, settlement: &Settlement, heard: BootTime) -> Result<Closed, SqlError> {
    let Some(ended) = ended(settlement, heard) else {
        transaction.prepare_cached(STRIKE_OUT)?.execute([settlement.attempt.0])?;
        return Ok(Closed::Ours(None));
    };
    let closed: Option<Option<i64>> = transaction
        .prepare_cached(CLOSE)?
        .query_row(
            params![
                settlement.attempt.0,
                ended.as_microseconds(),
                settlement.http_status,
                settlement.verdict,
                settlement.request_id,
            ],
            |row| row.get(0),
        )
        .optional()?;
    Ok(closed.map_or(Closed::ByOthers, Closed::Ours))
}

/// The same once more, where that was lost: nobody else can have closed it.
fn close_again(transaction: &Transaction<'_>, settlement: &Settlement, heard: BootTime) -> Result<(), SqlError> {
    let Some(ended) = ended(settlement, heard) else {
        return transaction.send(STRIKE_OUT, [settlement.attempt.0]);
    };
    let Settlement { attempt, http_status, verdict, request_id, .. } = settlement;
    transaction.send(CLOSE, params![attempt.0, ended.as_microseconds(), *http_status, *verdict, *request_id])
}

/// Writes down what an attempt that is closed did to its operations, and how long others are to wait for it.
fn note_answer(
    transaction: &Transaction<'_>,
    run_key: Option<i64>,
    settlement: &Settlement,
    heard_at: Timestamp,
    timelines: &Timelines,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    if let Some(run_key) = run_key {
        note_activity(transaction, run_key, clock)?;
        for effect in &settlement.effects {
            store_effect(transaction, run_key, effect, settlement, heard_at)?;
        }
    }
    let Some((account, bucket, until)) = settlement.pause else { return Ok(()) };
    if pause(transaction, account, bucket, timelines)?.is_none_or(|known| known < until) {
        let left = until.as_microseconds() - timelines.now.as_microseconds();
        transaction
            .prepare_cached(
                "INSERT INTO bucket_pause (account_key, bucket, timeline_key, until, until_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (account_key, bucket) DO UPDATE SET timeline_key = ?3, until = ?4, until_at = ?5",
            )?
            .execute(params![
                account.0,
                bucket_number(bucket),
                timelines.own,
                until.as_microseconds(),
                clock.wall_time().as_microsecond().saturating_add(left),
            ])?;
        transaction.forget::<PausedUntil>();
    }
    Ok(())
}

/// Writes down what a call did to one of its operations.
pub(super) fn store_effect(
    transaction: &Transaction<'_>,
    run_key: i64,
    effect: &OperationEffect,
    settlement: &Settlement,
    heard_at: Timestamp,
) -> Result<(), SqlError> {
    transaction.send(
            "UPDATE operation SET state = ?3, ambiguous = CASE WHEN ?13 = 1 THEN ?4 ELSE max(ambiguous, ?4) END, attempts = attempts + ?5, http_status = ?6,
                 error_code = ?7, error_message = ?8, request_id = ?9, after = coalesce(?10, after), finished_at = ?11,
                 last_attempt = ?12
             WHERE run_key = ?1 AND operation_number = ?2",
        params![
            run_key,
            effect.operation.0,
            effect.state.unwrap_or(OperationState::Pending).number(),
            effect.ambiguous,
            settlement.counts_as_attempt,
            effect.answer.http_status,
            effect.answer.error_code,
            effect.answer.error_message,
            effect.answer.request_id,
            effect.after.as_str(),
            effect.state.map(|_| heard_at.as_microsecond()),
            settlement.attempt.0,
            is_settled_by_answer(effect),
        ],
    )
}

/// Whether an answer showed the machine as it is, and that was believed: then nothing of earlier attempts is in doubt but
/// what the caller says.
fn is_settled_by_answer(effect: &OperationEffect) -> bool {
    effect.state == Some(OperationState::Failed) && effect.answer.error_code.as_deref() == Some("not_applied")
}
