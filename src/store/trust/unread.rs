//! For how long nobody has read a clock, where nobody was there to see it.

use std::time::Duration;

use super::plausible::{TWO_CLOCKS_DOUBT_MICROSECONDS, WALL_TIME_DOUBT_MICROSECONDS};
use crate::store::engine::sql::Transaction;
use crate::store::engine::sql::dialect::SERVER_TIME;

/// For how long a server has not seen the clock `?1`, by its own clock.
pub(super) fn unseen() -> String {
    format!("(SELECT {SERVER_TIME} - max(seen_at) FROM process WHERE timeline_key = ?1)")
}

/// How much longer ago a moment of the clock `?1` is at least than the position of that clock, `?3`, tells. `stamp` says when
/// it was by that clock, and `wall` by wall time, which is `?5` now, unless it is not asked. Wall time alone is believed less
/// fifteen hours. A server's clock has seen that clock, and where it and wall time agree, the smaller is believed less five
/// minutes, and less what the position contains of it, `counted`: somebody would have had to set both.
pub(super) fn unread(transaction: &Transaction<'_>, stamp: &str, wall: &str, counted: Duration) -> String {
    let by_wall = format!("?5 - ({wall}) - (?3 - {stamp})");
    let by_server = if transaction.sqlite().is_some() {
        "0".to_owned()
    } else {
        let (unseen, counted) = (unseen(), counted.as_micros());
        format!("min(coalesce({unseen}, 0) - {counted}, {by_wall}) - {TWO_CLOCKS_DOUBT_MICROSECONDS}")
    };
    format!(
        "CASE WHEN CAST(?5 AS BIGINT) IS NULL THEN 0
             ELSE max(0, {by_wall} - {WALL_TIME_DOUBT_MICROSECONDS}, {by_server}) END"
    )
}
