//! When the latest calls ended, by our clock: of which the ledger has the times as many clocks stamped them.

use crate::clock::BootTime;
use crate::model::Bucket;
use crate::store::engine::sql::{Optional, SqlError, Transaction, Value, params};
use crate::store::forms::attempt::AttemptRequest;
use crate::store::forms::encoding::bucket_number;
use crate::store::forms::run::AccountKey;
use crate::store::trust::custody::unknown_until;
use crate::store::trust::timelines::Timelines;

/// The ends in two buckets, merged in the order of the index; a bucket that is not there has no attempt.
const OF_ONE_CLOCK: &str =
    "SELECT ended FROM attempt WHERE account_key = ?1 AND timeline_key = ?2 AND bucket = ?3 AND ended IS NOT NULL
     UNION ALL
     SELECT ended FROM attempt WHERE account_key = ?1 AND timeline_key = ?2 AND bucket = ?4 AND ended IS NOT NULL
     ORDER BY ended DESC LIMIT 1 OFFSET ?5";

/// The one bucket or the two that are asked for, where nobody reads another clock.
fn of_one_clock(request: &AttemptRequest, timelines: &Timelines) -> Option<(u8, Option<u8>)> {
    match (request.counted_buckets.as_slice(), timelines.others.as_slice()) {
        ([bucket], []) => Some((bucket_number(*bucket), None)),
        ([bucket, other], []) => Some((bucket_number(*bucket), Some(bucket_number(*other)))),
        _ => None,
    }
}

/// Asks ahead what [`nth_latest_end`] asks: for the latest end but so many.
pub(super) fn foresee_latest_end(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    timelines: &Timelines,
    skipped: u32,
) {
    if let Some((bucket, other)) = of_one_clock(request, timelines) {
        transaction.foresee(OF_ONE_CLOCK, params![request.account.0, timelines.own, bucket, other, skipped]);
    } else {
        let (sql, values) = question_by_age(request.account, &request.counted_buckets, timelines, skipped, 1);
        transaction.foresee_with(&sql, &values);
    }
}

/// The `n`th latest end; no earlier than the last one that may be unknown.
pub(super) fn nth_latest_end(
    transaction: &Transaction<'_>,
    request: &AttemptRequest,
    timelines: &Timelines,
    n: u32,
) -> Result<Option<BootTime>, SqlError> {
    if let Some((bucket, other)) = of_one_clock(request, timelines) {
        let end = transaction
            .prepare_cached(OF_ONE_CLOCK)?
            .query_row(params![request.account.0, timelines.own, bucket, other, n - 1], |row| row.get(0))
            .optional()?;
        return Ok(end.map(BootTime::from_microseconds).max(unknown_until(transaction, timelines)?));
    }
    let ends = ends_by_age(transaction, request.account, &request.counted_buckets, timelines, n - 1, 1)?;
    Ok(ends.first().copied().max(unknown_until(transaction, timelines)?))
}

/// The ends on our clock, newest first, whoever stamped them: at most `count`, after so many that are skipped.
pub(super) fn ends_by_age(
    transaction: &Transaction<'_>,
    account: AccountKey,
    buckets: &[Bucket],
    timelines: &Timelines,
    skipped: u32,
    count: u32,
) -> Result<Vec<BootTime>, SqlError> {
    let (sql, values) = question_by_age(account, buckets, timelines, skipped, count);
    transaction.rows_with(&sql, &values, |row| row.get(0).map(BootTime::from_microseconds))
}

fn question_by_age(
    account: AccountKey,
    buckets: &[Bucket],
    timelines: &Timelines,
    skipped: u32,
    count: u32,
) -> (String, Vec<Value<'static>>) {
    let mut values = vec![account.0, i64::from(skipped) + i64::from(count), i64::from(skipped), i64::from(count)];
    let mut parts = Vec::new();
    for timeline in timelines.others.iter().map(|other| other.key).chain([timelines.own]) {
        // What every stamp of that clock is moved by on ours.
        let moved_by = timelines.on_our_clock(timeline, BootTime::from_microseconds(0)).as_microseconds();
        for bucket in buckets {
            let first = values.len() + 1;
            values.extend([timeline, moved_by, i64::from(bucket_number(*bucket))]);
            parts.push(format!(
                "SELECT ended + ?{} AS ended FROM (SELECT ended FROM attempt WHERE account_key = ?1
                     AND timeline_key = ?{first} AND bucket = ?{} AND ended IS NOT NULL ORDER BY ended DESC LIMIT ?2) AS part{first}",
                first + 1,
                first + 2
            ));
        }
    }
    let sql = format!("{} ORDER BY ended DESC LIMIT ?4 OFFSET ?3", parts.join(" UNION ALL "));
    (sql, values.into_iter().map(Value::Integer).collect())
}
