//! Closing attempts: with their answers, in one transaction with what those did, or without, when nobody will hear them.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::admission::pause;
use crate::clock::{BootTime, Clock};
use crate::quota::ages::given_up;
use crate::store::engine::sql::deeds::Deed;
use crate::store::engine::sql::done::number_now;
use crate::store::engine::sql::hot::{Gathering, Numbers};
use crate::store::engine::sql::{Optional, SqlError, Transaction, params};
use crate::store::forms::attempt::{AttemptEnd, AttemptKey, OperationEffect, Settlement};
use crate::store::forms::encoding::bucket_number;
use crate::store::forms::run::{OperationState, RunKey};
use crate::store::forms::states::IS_TO_BE_SENT;
use crate::store::runs::storing::note_activity;
use crate::store::slots::unheard::{UnheardAttempt, unheard_attempts};
use crate::store::trust::timelines::{PausedUntil, Timelines};
use crate::store::{Store, StoreError};

impl Store {
    /// Closes an attempt and writes down what it did.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails: nothing of the answer may be shown.
    pub(crate) async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let (clock, own) = (self.clock.clone(), self.identity.timeline_key);
        // It may be stored later, when a server is back that was away.
        let (heard, heard_at) = (clock.boot_time(), clock.wall_time());
        let kept = self.patience.keep_answer();
        self.note_settled(&settlement).await;
        let (attempt, weight) = (settlement.attempt, settlement.effects.len());
        let settled = self
            .writer
            .run(move |transaction| {
                transaction.may_be_lost();
                let settle = move |transaction: &Transaction<'_>, number| {
                    let settlement = settlement.numbered(number);
                    settle(transaction, &settlement, (heard, heard_at), own, clock.as_ref())
                };
                let settled = settle(transaction, transaction.number_now(attempt.0))?;
                transaction.can_be_repeated(|| {
                    let settled = settled.clone();
                    Deed::new(weight, move |transaction, renumbered| match settled.is_ours() {
                        Some(false) => Ok(()),
                        _ => settle(transaction, number_now(renumbered, attempt.0)).map(drop),
                    })
                });
                Ok(settled)
            })
            .await?;
        let is_ours = match settled.is_ours() {
            Some(is_ours) => is_ours,
            // The answer was lost to the commit that came about.
            None => self.has_stored(attempt, heard).await?,
        };
        kept.stored();
        if is_ours { Ok(()) } else { Err(StoreError::TakenOver) }
    }

    /// Whether an attempt has the end that this process heard then. Only whoever writes knows which number it has now.
    async fn has_stored(&self, attempt: AttemptKey, heard: BootTime) -> Result<bool, StoreError> {
        let ends = [heard, given_up(heard)].map(BootTime::as_microseconds);
        self.writer
            .run(move |transaction| {
                let stored = "SELECT count(*) > 0 FROM attempt
                     WHERE attempt_key = ?1 AND ended IN (?2, ?3) AND verdict IS NOT NULL";
                let number = transaction.number_now(attempt.0);
                transaction.query_row(stored, [number, ends[0], ends[1]], |row| row.get(0))
            })
            .await
    }

    /// Closes the attempts of a run that this process will not hear of any more: each may still arrive, and its operations
    /// may have taken effect.
    pub(crate) async fn abandon_open_attempts(&self, run: RunKey) -> Result<(), StoreError> {
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
    pub(in crate::store) async fn settle_lost_attempts(&self, run: RunKey) -> Result<(), StoreError> {
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
pub(in crate::store) enum Unheard {
    /// Those of a run, whoever made them: nobody is at it any more.
    OfRun(RunKey),
    /// Those of a run that this process has in flight.
    InFlight(RunKey, i64),
    /// Those of a process that is dead.
    OfProcess(i64),
}

/// Gives attempts without a verdict one, and notes that their operations may have taken effect. Those that have no end
/// yet get this one, or the one that was assumed when they were let through.
pub(in crate::store) fn close_unheard_attempts(
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
    let attempts = unheard_attempts(transaction, &condition)?;
    let mut close = transaction.prepare_cached(
        "UPDATE attempt SET ended = coalesce(ended, ?2, assumed_end), verdict = ?3 WHERE attempt_key = ?1",
    )?;
    let mut doubt = transaction.prepare_cached(&format!(
        "UPDATE operation SET ambiguous = 1, attempts = attempts + 1, last_attempt = ?3, http_status = NULL,
             request_id = NULL, error_code = 'interrupted', error_message = 'the run was stopped before the answer came'
         WHERE run_key = ?1 AND operation_number = ?2 AND {IS_TO_BE_SENT}"
    ))?;
    for UnheardAttempt { attempt, run, operations } in attempts {
        close.execute(params![attempt.0, ended, verdict])?;
        for operation in operations {
            doubt.execute(params![run.0, operation.0, attempt.0])?;
        }
    }
    Ok(())
}

/// Closes an attempt, and writes down what it did.
fn settle(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
    (heard, heard_at): (BootTime, Timestamp),
    timeline_key: i64,
    clock: &dyn Clock,
) -> Result<Settled, SqlError> {
    let ended = match settlement.end {
        AttemptEnd::Now => heard,
        AttemptEnd::GivenUp => given_up(heard),
        AttemptEnd::NeverSent => {
            transaction.send("DELETE FROM attempt WHERE attempt_key = ?1", [settlement.attempt.0])?;
            return Ok(Settled::Known(true));
        }
    };
    if transaction.sqlite().is_none() && settlement.pause.is_none() {
        return Ok(Settled::Told(settlement.attempt, gather(transaction, settlement, ended, heard_at)));
    }
    let timelines = Timelines::report(transaction, timeline_key, clock)?;
    let open: Option<Option<i64>> = transaction
        .prepare_cached("SELECT run_key FROM attempt WHERE attempt_key = ?1 AND verdict IS NULL")?
        .query_row([settlement.attempt.0], |row| row.get(0))
        .optional()?;
    // Somebody took us for dead and closed it; what became of it is theirs to find out.
    let Some(run_key) = open else { return Ok(Settled::Known(false)) };
    transaction.send(
        "UPDATE attempt SET ended = ?2, http_status = ?3, verdict = ?4, request_id = ?5 WHERE attempt_key = ?1",
        params![
            settlement.attempt.0,
            ended.as_microseconds(),
            settlement.http_status,
            settlement.verdict,
            settlement.request_id,
        ],
    )?;
    if let Some(run_key) = run_key {
        note_activity(transaction, run_key, clock)?;
        for effect in &settlement.effects {
            store_effect(transaction, run_key, effect, settlement, heard_at)?;
        }
    }
    if let Some((account, bucket, until)) = settlement.pause
        && pause(transaction, account, bucket, &timelines)?.is_none_or(|known| known < until)
    {
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
    Ok(Settled::Known(true))
}

/// Whether an attempt was still ours to settle.
#[derive(Clone)]
enum Settled {
    Known(bool),
    /// It is if it is among these, which are known once the transaction is committed.
    Told(AttemptKey, Numbers),
}

impl Settled {
    /// `None` where nobody knows yet, or the answer was lost.
    fn is_ours(&self) -> Option<bool> {
        match self {
            Self::Known(is_ours) => Some(*is_ours),
            Self::Told(attempt, settled) => settled.get().map(|settled| settled.contains(&attempt.0)),
        }
    }
}

/// Closes attempts that nobody has closed, notes that something has happened in their runs, and writes down what they did.
static SETTLEMENTS: Gathering = Gathering {
    sql: "WITH settled AS (
            UPDATE attempt SET ended = given.ended, http_status = given.http_status, verdict = given.verdict,
                request_id = given.request_id
            FROM unnest($1, $2, $3, $4, $5) AS given (attempt_key, ended, http_status, verdict, request_id)
            WHERE attempt.attempt_key = given.attempt_key AND attempt.verdict IS NULL
            RETURNING attempt.attempt_key, attempt.run_key
        ), noted AS (
            UPDATE run SET last_activity_at = (SELECT max(heard_at) FROM unnest($6) AS heard_at)
            WHERE run_key IN (SELECT run_key FROM settled)
        ), written AS (
            UPDATE operation SET state = effect.state, attempts = operation.attempts + effect.counts,
                ambiguous = CASE WHEN effect.by_answer = 1 THEN effect.ambiguous
                    ELSE greatest(operation.ambiguous, effect.ambiguous) END,
                http_status = effect.http_status, error_code = effect.error_code,
                error_message = effect.error_message, request_id = effect.request_id,
                after = coalesce(effect.after, operation.after), finished_at = effect.finished_at,
                last_attempt = effect.attempt_key
            FROM unnest($7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) AS effect (attempt_key, operation_number,
                state, ambiguous, counts, http_status, error_code, error_message, request_id, after, finished_at, by_answer)
                JOIN settled USING (attempt_key)
            WHERE operation.run_key = settled.run_key AND operation.operation_number = effect.operation_number
        )
        SELECT attempt_key FROM settled",
    lists: &[
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
    ],
};
/// By which attempt an operation was changed last in this transaction.
#[derive(Clone)]
struct OperationGathered(Rc<Cell<AttemptKey>>);

/// The first list of what attempts did.
const FIRST_OF_EFFECTS: usize = 6;

/// Has an attempt closed on a server together with the others of the transaction.
fn gather(transaction: &Transaction<'_>, settlement: &Settlement, ended: BootTime, heard_at: Timestamp) -> Numbers {
    let heard_at = heard_at.as_microsecond();
    let is_again = |effect: &OperationEffect| {
        let number = i64::from(effect.operation.0);
        let noted = transaction.once(number, || Ok(OperationGathered(Cell::new(settlement.attempt).into())));
        noted.is_ok_and(|OperationGathered(last)| last.replace(settlement.attempt) != settlement.attempt)
    };
    // One statement changes a row only once.
    if settlement.effects.iter().filter(|effect| is_again(effect)).count() > 0 {
        transaction.send_gathered();
    }
    for effect in &settlement.effects {
        drop(transaction.gather(
            &SETTLEMENTS,
            FIRST_OF_EFFECTS,
            params![
                settlement.attempt.0,
                effect.operation.0,
                effect.state.unwrap_or(OperationState::Pending).number(),
                effect.ambiguous,
                settlement.counts_as_attempt,
                effect.answer.http_status,
                effect.answer.error_code,
                effect.answer.error_message,
                effect.answer.request_id,
                effect.after.as_str(),
                effect.state.map(|_| heard_at),
                is_settled_by_answer(effect),
            ],
        ));
    }
    transaction.gather(
        &SETTLEMENTS,
        0,
        params![
            settlement.attempt.0,
            ended.as_microseconds(),
            settlement.http_status,
            settlement.verdict,
            settlement.request_id,
            heard_at,
        ],
    )
}

/// Writes down what a call did to one of its operations.
pub(in crate::store) fn store_effect(
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
