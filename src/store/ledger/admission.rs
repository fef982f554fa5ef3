//! Every attempt, announced in one transaction before it is sent, and what the ledger tells of those that were.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::ends::{ends_by_age, foresee_latest_end, nth_latest_end};
use crate::clock::{BootTime, Clock};
use crate::model::{Bucket, OperationId};
use crate::quota::ages::{assumed_end, may_still_be_sent};
use crate::quota::window::{self, Decision};
use crate::store::engine::sql::deeds::Deed;
use crate::store::engine::sql::hot::NumberedRow;
use crate::store::engine::sql::{Optional, SqlError, Transaction, params};
use crate::store::forms::attempt::{
    Admission, AttemptEnd, AttemptKey, AttemptRequest, AttemptTicket, Refusal, Settlement,
};
use crate::store::forms::encoding::{bucket_number, encode_operations};
use crate::store::forms::run::{AccountKey, RunKey};
use crate::store::server::takeovers::all_are_back;
use crate::store::slots::unheard::unheard_operations;
use crate::store::trust::custody::unknown_until;
use crate::store::trust::plausible::believed;
use crate::store::trust::timelines::{PausedUntil, Timelines};
use crate::store::trust::{timelines, unknown_calls};
use crate::store::{Reader, Store, StoreError};

/// Schedules reckon with at most so many calls of which nobody knows; no service allows more in a window.
const MOST_UNKNOWN_CALLS: u32 = 1_000_000;

impl Store {
    /// Asks for a call to be let through; if it is, the attempt is on the disk when this answers.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails: the call must not be sent.
    pub(crate) async fn admit(&self, request: AttemptRequest) -> Result<Admission, StoreError> {
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
        let (clock, identity) = (self.clock.clone(), self.identity.clone());
        let (announced, asked, process_key) = (request.clone(), request.clone(), self.identity.process_key);
        let ahead = move |transaction: &Transaction<'_>| foresee(transaction, &asked, process_key);
        let admission = self
            .writer
            .run_while_wanted(ahead, move |transaction| {
                if !is_ours(transaction, identity.process_key, request.run)? {
                    return Ok(None);
                }
                // But for a call that is let through, nothing is done here that is not done again.
                transaction.may_be_lost();
                let timelines = Timelines::report(transaction, identity.timeline_key, clock.as_ref())?;
                timelines.adopt_silent(transaction, &identity.seen)?;
                admit(transaction, &request, &timelines, clock.as_ref(), identity.process_key).map(Some)
            })
            .await?
            .ok_or(StoreError::TakenOver)?;
        if let Admission::Granted(ticket) = admission {
            self.note_announced(announced, ticket).await;
        }
        Ok(admission)
    }

    /// How long the latest writes of this account took from start to answer, on average; `None` when there were none since
    /// the machine was started.
    pub(crate) async fn mean_round_trip(&self, account: AccountKey) -> Result<Option<Duration>, StoreError> {
        let timeline_key = self.identity.timeline_key;
        self.looking()
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
    pub(crate) async fn latest_ends(
        &self,
        account: AccountKey,
        buckets: Vec<Bucket>,
        count: u32,
    ) -> Result<Vec<BootTime>, StoreError> {
        let clock = self.clock.clone();
        let timeline_key = self.identity.timeline_key;
        self.writer
            .run(move |transaction| {
                transaction.may_be_lost();
                let in_flight = count_in_flight(transaction, account, &buckets)?;
                let timelines = Timelines::report(transaction, timeline_key, clock.as_ref())?;
                let mut ends = vec![timelines.now; in_flight as usize];
                ends.extend(ends_by_age(transaction, account, &buckets, &timelines, 0, count)?);
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

    /// Until when the service wants no call of these buckets, where that lies ahead.
    pub(crate) async fn paused_until(
        &self,
        account: AccountKey,
        buckets: Vec<Bucket>,
    ) -> Result<Option<BootTime>, StoreError> {
        let clock = self.clock.clone();
        let timeline_key = self.identity.timeline_key;
        self.writer
            .run(move |transaction| {
                transaction.may_be_lost();
                let timelines = Timelines::report(transaction, timeline_key, clock.as_ref())?;
                let until = paused_until(transaction, account, &buckets, &timelines)?;
                Ok(until.filter(|until| *until > timelines.now))
            })
            .await
    }
}

impl Reader {
    /// The operations of a run that were sent, or were about to be, and whose attempt was never settled: its process
    /// died, or the database failed.
    pub(crate) async fn unsettled_operations(&self, run: RunKey) -> Result<HashSet<OperationId>, StoreError> {
        self.connection.run(move |transaction| unheard_operations(transaction, run)).await
    }
}

const OWNERSHIP: &str =
    "SELECT ended = 0 AND coalesce((SELECT process_key = ?1 FROM run WHERE run_key = CAST(?2 AS BIGINT)), TRUE)
     FROM process WHERE process_key = ?1";
const PAUSE: &str = "SELECT timeline_key, until FROM bucket_pause WHERE account_key = ?1 AND bucket = ?2";
const IN_FLIGHT: &str = "SELECT count(*) FROM attempt WHERE account_key = ?1 AND bucket = ?2 AND ended IS NULL";
/// More than any number of a bucket.
const BUCKET_NUMBERS: i64 = 16;
/// Whether calls of this process, and of the run, are still its own to make: it was not taken for dead, and nobody has gone
/// on with the run.
fn is_ours(transaction: &Transaction<'_>, process_key: i64, run: Option<RunKey>) -> Result<bool, SqlError> {
    let look_up = || look_up_ownership(transaction, process_key, run).map(IsOurs);
    transaction.once(run.map_or(-1, |run| run.0), look_up).map(|IsOurs(is_ours)| is_ours)
}

#[derive(Clone, Copy)]
struct IsOurs(bool);

fn look_up_ownership(transaction: &Transaction<'_>, process_key: i64, run: Option<RunKey>) -> Result<bool, SqlError> {
    transaction
        .prepare_cached(OWNERSHIP)?
        .query_row(params![process_key, run.map(|run| run.0)], |row| row.get(0))
        .optional()
        .map(|is_ours| is_ours.unwrap_or(false))
}

/// Asks ahead whatever an admission asks before its first decision. Where calls are settled in the same transaction, they
/// still count as in flight in what is known then, which is never too few.
fn foresee(transaction: &Transaction<'_>, request: &AttemptRequest, process_key: i64) {
    transaction.foresee(OWNERSHIP, params![process_key, request.run.map(|run| run.0)]);
    timelines::foresee(transaction);
    for bucket in &request.counted_buckets {
        transaction.foresee(PAUSE, params![request.account.0, bucket_number(*bucket)]);
    }
    if !request.quota.is_off() {
        unknown_calls::foresee(transaction);
        for bucket in &request.counted_buckets {
            transaction.foresee(IN_FLIGHT, params![request.account.0, bucket_number(*bucket)]);
        }
    }
    transaction.foresee_row(&STARTED_ATTEMPT);
}

fn admit(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    timelines: &Timelines,
    clock: &dyn Clock,
    process_key: i64,
) -> Result<Admission, SqlError> {
    let now = timelines.now;
    let paused_until = paused_until(transaction, request.account, &request.counted_buckets, timelines)?;
    let paused_until = believed(paused_until, now)?;
    if let Some(until) = paused_until.filter(|until| *until > now) {
        return Ok(Admission::Refused(Refusal::Paused { until }));
    }
    if !request.quota.is_off() {
        if !all_are_back(transaction, timelines.own, clock)? {
            return Ok(Admission::Refused(Refusal::AwaitsOthers));
        }
        let mut decision = decide(transaction, request, timelines)?;
        if decision != Decision::Start && transaction.has_gathered() {
            // What was settled in this transaction may have made room, and is in no answer to what was asked ahead.
            transaction.send_gathered();
            decision = decide(transaction, request, timelines)?;
        }
        match decision {
            Decision::Start => {}
            Decision::WaitUntil { time, limit } => {
                return Ok(Admission::Refused(Refusal::Window { until: time, limit }));
            }
            Decision::WaitForAnswer { limit } => return Ok(Admission::Refused(Refusal::InFlight { limit })),
        }
    }
    let (own, started_at) = (timelines.own, clock.wall_time());
    let attempt = announce(transaction, request, now, process_key, own, started_at)?;
    transaction.can_be_repeated(|| {
        let request = request.clone();
        let deed = Deed::new(1, move |transaction, renumbered| {
            let again = announce(transaction, &request, now, process_key, own, started_at)?;
            renumbered.insert(attempt.0, again.0);
            Ok(())
        });
        deed.numbered(attempt.0)
    });
    Ok(Admission::Granted(AttemptTicket { attempt, started: now }))
}

fn decide(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    timelines: &Timelines,
) -> Result<Decision, SqlError> {
    let in_flight = count_in_flight(transaction, request.account, &request.counted_buckets)?;
    if transaction.sqlite().is_none() {
        // For all limits at once.
        for limit in request.quota.limits() {
            if let Some(before) = limit.calls.get().checked_sub(in_flight + 1) {
                foresee_latest_end(transaction, request, timelines, before);
            }
        }
    }
    let nth_latest_end = |n| believed(nth_latest_end(transaction, request, timelines, n)?, timelines.now);
    window::decide(timelines.now, &request.quota, in_flight, timelines.margin, nth_latest_end)
}

/// What an attempt has when it starts.
static STARTED_ATTEMPT: NumberedRow<10> = NumberedRow::of(
    "attempt",
    "attempt_key",
    [
        "account_key",
        "bucket",
        "process_key",
        "run_key",
        "call_kind",
        "operations",
        "timeline_key",
        "started",
        "assumed_end",
        "started_at",
    ],
    &[
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::TEXT_ARRAY,
        Type::BYTEA_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
    ],
);

/// Writes an attempt down that starts, or started, then.
pub(in crate::store) fn announce(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    now: BootTime,
    process_key: i64,
    timeline_key: i64,
    started_at: Timestamp,
) -> Result<AttemptKey, SqlError> {
    let announced = transaction.send_row(
        &STARTED_ATTEMPT,
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
            started_at.as_microsecond(),
        ],
    )?;
    Ok(AttemptKey(announced))
}

fn paused_until(
    transaction: &Transaction<'_>,
    account: AccountKey,
    buckets: &[Bucket],
    timelines: &Timelines,
) -> Result<Option<BootTime>, SqlError> {
    let mut latest = None;
    for bucket in buckets {
        latest = latest.max(pause(transaction, account, *bucket, timelines)?);
    }
    Ok(latest)
}

/// Until when a bucket pauses, on our clock.
pub(super) fn pause(
    transaction: &Transaction<'_>,
    account: AccountKey,
    bucket: Bucket,
    timelines: &Timelines,
) -> Result<Option<BootTime>, SqlError> {
    let look_up = || {
        let until = transaction
            .prepare_cached(PAUSE)?
            .query_row(params![account.0, bucket_number(bucket)], |row| {
                Ok((row.get(0)?, BootTime::from_microseconds(row.get(1)?)))
            })
            .optional()?;
        Ok(PausedUntil(until))
    };
    let about = account.0.wrapping_mul(BUCKET_NUMBERS).wrapping_add(i64::from(bucket_number(bucket)));
    let PausedUntil(until) = transaction.once(about, look_up)?;
    Ok(until.map(|(timeline, until)| timelines.on_our_clock(timeline, until)))
}

fn count_in_flight(transaction: &Transaction<'_>, account: AccountKey, buckets: &[Bucket]) -> Result<u32, SqlError> {
    let mut count = 0;
    for bucket in buckets {
        let mut statement = transaction.prepare_cached(IN_FLIGHT)?;
        count += statement.query_row(params![account.0, bucket_number(*bucket)], |row| row.get::<u32>(0))?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
