//! Every attempt, announced before it is sent and closed when its answer has come: admission and settlement, each in one
//! transaction.

use std::collections::HashSet;
use std::time::Duration;

use super::absence::Patience;
use super::attempt::{
    Admission, AttemptEnd, AttemptKey, AttemptRequest, AttemptTicket, OperationEffect, Refusal, Settlement,
};
use super::custody::unknown_until;
use super::encoding::bucket_number;
use super::forms::{AccountKey, OperationState, RunKey};
use super::plausible::believed;
use super::runs::note_activity;
use super::slots::unheard_operations;
use super::sql::{Optional, SqlError, Transaction, params};
use super::timelines::Timelines;
use super::{Reader, Store, StoreError};
use crate::clock::{BootTime, Clock};
use crate::model::{Bucket, OperationId};
use crate::quota::ages::{assumed_end, given_up, may_still_be_sent};
use crate::quota::window::{self, Decision};

/// Schedules reckon with at most so many calls of which nobody knows; no service allows more in a window.
const MOST_UNKNOWN_CALLS: u32 = 1_000_000;

impl Store {
    /// Asks for a call to be let through; if it is, the attempt is on the disk when this answers.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails: the call must not be sent.
    pub async fn admit(&self, request: AttemptRequest) -> Result<Admission, StoreError> {
        loop {
            let admission = self.admit_once(request.clone()).await?;
            let Admission::Granted(ticket) = admission else { return Ok(admission) };
            if !self.identity.is_on_server() || may_still_be_sent(ticket.started, self.clock.boot_time()) {
                return Ok(admission);
            }
            self.strike_out(ticket).await?;
        }
    }

    /// Takes back an attempt that was let through and must not leave any more.
    async fn strike_out(&self, ticket: AttemptTicket) -> Result<(), StoreError> {
        let settlement = Settlement {
            attempt: ticket.attempt,
            end: AttemptEnd::NeverSent,
            verdict: "late",
            http_status: None,
            request_id: None,
            counts_as_attempt: false,
            effects: Vec::new(),
            pause: None,
        };
        self.settle(settlement).await
    }

    async fn admit_once(&self, request: AttemptRequest) -> Result<Admission, StoreError> {
        let clock = self.clock.clone();
        let identity = self.identity.clone();
        let announced = request.clone();
        let admission = self
            .writer
            .run_while_wanted(move |transaction| {
                if !is_ours(transaction, identity.process_key, request.run)? {
                    return Ok(None);
                }
                let mut timelines = Timelines::report(transaction, identity.timeline_key, clock.as_ref())?;
                timelines.adopt_silent(transaction, &identity.seen)?;
                admit(transaction, &request, &timelines, clock.as_ref(), identity.process_key).map(Some)
            })
            .await?
            .ok_or(StoreError::TakenOver)?;
        if let Admission::Granted(ticket) = admission {
            let (clock, process_key) = (self.clock.clone(), self.identity.process_key);
            self.note_in_copy(move |transaction| {
                let noted = announce(transaction, &announced, ticket.started, process_key, 0, clock.as_ref())?;
                let keys = [noted, ticket.attempt].map(|attempt| attempt.0);
                transaction.execute("UPDATE attempt SET attempt_key = ?2 WHERE attempt_key = ?1", keys).map(drop)
            })
            .await;
        }
        Ok(admission)
    }

    /// Closes an attempt and writes down what it did.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails: nothing of the answer may be shown.
    pub async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let clock = self.clock.clone();
        let identity = self.identity.clone();
        // It may be stored later, when a server is back that was away.
        let heard = clock.boot_time();
        let _kept = identity.patience().map(Patience::keep_answer);
        let (noted, noted_by) = (settlement.clone(), clock.clone());
        self.note_in_copy(move |transaction| {
            let timelines = Timelines::report(transaction, 0, noted_by.as_ref())?;
            settle(transaction, &noted, heard, &timelines, noted_by.as_ref()).map(drop)
        })
        .await;
        let is_ours = self
            .writer
            .run(move |transaction| {
                let timelines = Timelines::report(transaction, identity.timeline_key, clock.as_ref())?;
                settle(transaction, &settlement, heard, &timelines, clock.as_ref())
            })
            .await?;
        if is_ours { Ok(()) } else { Err(StoreError::TakenOver) }
    }

    /// Closes the attempts of a run that this process will not hear of any more: each may still arrive, and its operations
    /// may have taken effect.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn abandon_open_attempts(&self, run: RunKey) -> Result<(), StoreError> {
        let clock = self.clock.clone();
        let process_key = self.identity.process_key;
        self.writer
            .run(move |transaction| {
                let ended = given_up(clock.boot_time()).as_microseconds();
                close_unheard_attempts(transaction, &Unheard::InFlight(run, process_key), Some(ended), "abandoned")
            })
            .await
    }

    /// The same for attempts whose process died, or could not store their answers.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(super) async fn settle_lost_attempts(&self, run: RunKey) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| close_unheard_attempts(transaction, &Unheard::OfRun(run), None, "lost"))
            .await
    }

    /// How long the latest writes of this account took from start to answer, on average; `None` when there were none since
    /// the machine was started.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn mean_round_trip(&self, account: AccountKey) -> Result<Option<Duration>, StoreError> {
        let timeline_key = self.identity.timeline_key;
        self.writer
            .run(move |transaction| {
                let mean: Option<f64> = transaction.query_row(
                    "SELECT CAST(avg(took) AS DOUBLE PRECISION) FROM (SELECT ended - started AS took FROM attempt
                         WHERE attempt_key > (SELECT max(attempt_key) - 1000 FROM attempt) AND account_key = ?1
                             AND timeline_key = ?2 AND bucket <> ?3 AND http_status IS NOT NULL
                         ORDER BY attempt_key DESC LIMIT 50) AS latest",
                    params![account.0, timeline_key, bucket_number(Bucket::Machines)],
                    |row| row.get(0),
                )?;
                Ok(mean.map(|microseconds| Duration::from_secs_f64((microseconds / 1e6).max(0.0))))
            })
            .await
    }

    /// The latest ends of this account's calls in these buckets, newest first, at most `count`; for schedules. Calls in
    /// flight are given as ending now.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn latest_ends(
        &self,
        account: AccountKey,
        buckets: Vec<Bucket>,
        count: u32,
    ) -> Result<Vec<BootTime>, StoreError> {
        let clock = self.clock.clone();
        let timeline_key = self.identity.timeline_key;
        self.writer
            .run(move |transaction| {
                let in_flight = count_in_flight(transaction, account, &buckets)?;
                let timelines = Timelines::report(transaction, timeline_key, clock.as_ref())?;
                let mut ends = vec![timelines.now; in_flight as usize];
                ends.extend(latest_ends(transaction, account, &buckets, &timelines, count)?);
                if let Some(unknown_until) = unknown_until(transaction, &timelines)? {
                    // Before that moment, as many calls as can be asked for count as having ended then.
                    ends.resize(ends.len() + count.min(MOST_UNKNOWN_CALLS) as usize, unknown_until);
                }
                ends.sort_unstable_by(|left, right| right.cmp(left));
                ends.truncate(count as usize);
                Ok(ends)
            })
            .await
    }
}

impl Reader {
    /// The operations of a run that were sent, or were about to be, and whose attempt was never settled: its process
    /// died, or the database failed.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn unsettled_operations(&self, run: RunKey) -> Result<HashSet<OperationId>, StoreError> {
        self.connection.run(move |transaction| unheard_operations(transaction, run)).await
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

/// The operations of an attempt, four bytes each, least significant first.
fn encode_operations(operations: &[OperationId]) -> Vec<u8> {
    operations.iter().flat_map(|operation| operation.0.to_le_bytes()).collect()
}

pub(super) fn decode_operations(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).filter_map(|number| number.try_into().ok().map(u32::from_le_bytes))
}

const LATEST_ENDS: &str = "SELECT ended FROM attempt
    WHERE account_key = ?1 AND timeline_key = ?2 AND bucket = ?3 AND ended IS NOT NULL ORDER BY ended DESC LIMIT ?4";

/// Whether calls of this process, and of the run, are still its own to make: it was not taken for dead, and nobody has gone
/// on with the run.
fn is_ours(transaction: &Transaction<'_>, process_key: i64, run: Option<RunKey>) -> Result<bool, SqlError> {
    transaction
        .prepare_cached(
            "SELECT ended = 0 AND coalesce((SELECT process_key = ?1 FROM run WHERE run_key = CAST(?2 AS BIGINT)), TRUE)
             FROM process WHERE process_key = ?1",
        )?
        .query_row(params![process_key, run.map(|run| run.0)], |row| row.get(0))
        .optional()
        .map(|is_ours| is_ours.unwrap_or(false))
}

fn admit(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    timelines: &Timelines,
    clock: &dyn Clock,
    process_key: i64,
) -> Result<Admission, SqlError> {
    let now = timelines.now;
    let paused_until = believed(paused_until(transaction, request, timelines)?, now)?;
    if let Some(until) = paused_until.filter(|until| *until > now) {
        return Ok(Admission::Refused(Refusal::Paused { until }));
    }
    if !request.quota.is_off() {
        let in_flight = count_in_flight(transaction, request.account, &request.counted_buckets)?;
        let nth_latest_end = |n| believed(nth_latest_end(transaction, request, timelines, n)?, now);
        let decision = window::decide(now, &request.quota, in_flight, timelines.margin, nth_latest_end)?;
        match decision {
            Decision::Start => {}
            Decision::WaitUntil { time, limit } => {
                return Ok(Admission::Refused(Refusal::Window { until: time, limit }));
            }
            Decision::WaitForAnswer { limit } => return Ok(Admission::Refused(Refusal::InFlight { limit })),
        }
    }
    let attempt = announce(transaction, request, now, process_key, timelines.own, clock)?;
    Ok(Admission::Granted(AttemptTicket { attempt, started: now }))
}

/// Writes an attempt down that starts now.
fn announce(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    now: BootTime,
    process_key: i64,
    timeline_key: i64,
    clock: &dyn Clock,
) -> Result<AttemptKey, SqlError> {
    let announced = transaction.insert(
        "INSERT INTO attempt (account_key, bucket, process_key, run_key, call_kind, operations, timeline_key, started,
             assumed_end, started_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        "attempt_key",
        params![
            request.account.0,
            bucket_number(request.bucket),
            process_key,
            request.run.map(|run| run.0),
            request.call_kind,
            encode_operations(&request.operations),
            timeline_key,
            now.as_microseconds(),
            assumed_end(now, request.time_out).as_microseconds(),
            clock.wall_time().as_microsecond(),
        ],
    )?;
    Ok(AttemptKey(announced))
}

fn paused_until(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    timelines: &Timelines,
) -> Result<Option<BootTime>, SqlError> {
    let mut latest = None;
    for bucket in &request.counted_buckets {
        latest = latest.max(pause(transaction, request.account, *bucket, timelines)?);
    }
    Ok(latest)
}

/// Until when a bucket pauses, on our clock.
fn pause(
    transaction: &Transaction<'_>,
    account: AccountKey,
    bucket: Bucket,
    timelines: &Timelines,
) -> Result<Option<BootTime>, SqlError> {
    let until = transaction
        .prepare_cached("SELECT timeline_key, until FROM bucket_pause WHERE account_key = ?1 AND bucket = ?2")?
        .query_row(params![account.0, bucket_number(bucket)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(until.map(|(timeline, until)| timelines.on_our_clock(timeline, BootTime::from_microseconds(until))))
}

fn count_in_flight(transaction: &Transaction<'_>, account: AccountKey, buckets: &[Bucket]) -> Result<u32, SqlError> {
    let mut count = 0;
    for bucket in buckets {
        let mut statement = transaction
            .prepare_cached("SELECT count(*) FROM attempt WHERE account_key = ?1 AND bucket = ?2 AND ended IS NULL")?;
        count += statement.query_row(params![account.0, bucket_number(*bucket)], |row| row.get::<u32>(0))?;
    }
    Ok(count)
}

fn nth_latest_end(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    timelines: &Timelines,
    n: u32,
) -> Result<Option<BootTime>, SqlError> {
    // One bucket, or a pair that is merged in the order of the index; a bucket that is not there has no attempt.
    let pair = match request.counted_buckets.as_slice() {
        [bucket] => Some((bucket_number(*bucket), None)),
        [bucket, other] => Some((bucket_number(*bucket), Some(bucket_number(*other)))),
        _ => None,
    };
    if let (Some((bucket, other)), []) = (pair, timelines.others.as_slice()) {
        let mut statement = transaction.prepare_cached(
            "SELECT ended FROM attempt WHERE account_key = ?1 AND timeline_key = ?2 AND bucket = ?3 AND ended IS NOT NULL
             UNION ALL
             SELECT ended FROM attempt WHERE account_key = ?1 AND timeline_key = ?2 AND bucket = ?4 AND ended IS NOT NULL
             ORDER BY ended DESC LIMIT 1 OFFSET ?5",
        )?;
        let end = statement
            .query_row(params![request.account.0, timelines.own, bucket, other, n - 1], |row| row.get(0))
            .optional()?;
        return Ok(end.map(BootTime::from_microseconds).max(unknown_until(transaction, timelines)?));
    }
    let ends = latest_ends(transaction, request.account, &request.counted_buckets, timelines, n)?;
    Ok(ends.get(n as usize - 1).copied().max(unknown_until(transaction, timelines)?))
}

/// The latest ends on our clock, newest first, at most `count`, whoever stamped them.
fn latest_ends(
    transaction: &Transaction<'_>,
    account: AccountKey,
    buckets: &[Bucket],
    timelines: &Timelines,
    count: u32,
) -> Result<Vec<BootTime>, SqlError> {
    let mut ends = Vec::new();
    for timeline in timelines.others.iter().map(|other| other.key).chain([timelines.own]) {
        for bucket in buckets {
            let mut statement = transaction.prepare_cached(LATEST_ENDS)?;
            let rows =
                statement.query_map(params![account.0, timeline, bucket_number(*bucket), count], |row| row.get(0))?;
            for end in rows {
                ends.push(timelines.on_our_clock(timeline, BootTime::from_microseconds(end?)));
            }
        }
    }
    ends.sort_unstable_by(|left, right| right.cmp(left));
    ends.truncate(count as usize);
    Ok(ends)
}

fn settle(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
    heard: BootTime,
    timelines: &Timelines,
    clock: &dyn Clock,
) -> Result<bool, SqlError> {
    let now = timelines.now;
    let ended = match settlement.end {
        AttemptEnd::Now => heard,
        AttemptEnd::GivenUp => given_up(heard),
        AttemptEnd::NeverSent => {
            transaction
                .prepare_cached("DELETE FROM attempt WHERE attempt_key = ?1")?
                .execute([settlement.attempt.0])?;
            return Ok(true);
        }
    };
    let settled = transaction
        .prepare_cached(
            "UPDATE attempt SET ended = ?2, http_status = ?3, verdict = ?4, request_id = ?5
             WHERE attempt_key = ?1 AND verdict IS NULL",
        )?
        .execute(params![
            settlement.attempt.0,
            ended.as_microseconds(),
            settlement.http_status,
            settlement.verdict,
            settlement.request_id,
        ])?;
    if settled == 0 {
        // Somebody took us for dead and closed it; what became of it is theirs to find out.
        return Ok(false);
    }
    let run_key: Option<i64> = transaction
        .prepare_cached("SELECT run_key FROM attempt WHERE attempt_key = ?1")?
        .query_row([settlement.attempt.0], |row| row.get(0))?;
    if let Some(run_key) = run_key {
        note_activity(transaction, run_key, clock)?;
        for effect in &settlement.effects {
            store_effect(transaction, run_key, effect, settlement, clock)?;
        }
    }
    if let Some((account, bucket, until)) = settlement.pause
        && pause(transaction, account, bucket, timelines)?.is_none_or(|known| known < until)
    {
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
                clock.wall_time().as_microsecond().saturating_add(until.as_microseconds() - now.as_microseconds()),
            ])?;
    }
    Ok(true)
}

fn store_effect(
    transaction: &Transaction<'_>,
    run_key: i64,
    effect: &OperationEffect,
    settlement: &Settlement,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    transaction
        .prepare_cached(
            "UPDATE operation SET state = ?3, ambiguous = CASE WHEN ?13 = 1 THEN ?4 ELSE max(ambiguous, ?4) END, attempts = attempts + ?5, http_status = ?6,
                 error_code = ?7, error_message = ?8, request_id = ?9, after = coalesce(?10, after), finished_at = ?11,
                 last_attempt = ?12
             WHERE run_key = ?1 AND operation_number = ?2",
        )?
        .execute(params![
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
            effect.state.map(|_| clock.wall_time().as_microsecond()),
            settlement.attempt.0,
            is_settled_by_answer(effect),
        ])?;
    Ok(())
}

/// Whether an answer showed the machine as it is, and that was believed: then nothing of earlier attempts is in doubt but
/// what the caller says.
fn is_settled_by_answer(effect: &OperationEffect) -> bool {
    effect.state == Some(OperationState::Failed) && effect.answer.error_code.as_deref() == Some("not_applied")
}

#[cfg(test)]
mod tests;
