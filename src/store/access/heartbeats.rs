//! Who lives, where no kernel can say so: whoever has shown himself within half a minute by the server's clock.
//!
//! Whoever has missed the server itself takes nobody for dead until it was back for as long. A process that is stopped for
//! longer, or cut off, is taken for dead, and finds that out at its next call. What it has in flight then ends when it must
//! have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::connection::SharedConnection;
use crate::clock::{SharedClock, sleep_until};
use crate::store::engine::absence::Patience;
use crate::store::engine::sql::dialect::SERVER_TIME;
use crate::store::engine::sql::{Optional, SqlError, Transaction, params};
use crate::store::server::takeovers;
use crate::store::trust::timelines::{self, Seen, Timelines};

/// How often a process shows itself.
const INTERVAL: Duration = Duration::from_secs(1);
/// Whoever has not shown himself for so long is dead.
const SILENT_MICROSECONDS: i64 = 30_000_000;

/// Whoever was seen within so long before the server started may have waited for it since.
const LONGEST_WAIT_FOR_SERVER_MICROSECONDS: i64 = 24 * 3600 * 1_000_000;

/// Whether nothing was heard of a process for so long that it is dead. After a takeover, and after a start of the server, each
/// has the time to come back.
fn is_silent() -> String {
    const STARTED: &str = "CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS BIGINT)";
    let is_early = takeovers::is_early();
    format!(
        "seen_at + {SILENT_MICROSECONDS} <= {SERVER_TIME} AND NOT ({is_early})
             AND NOT ({STARTED} + {SILENT_MICROSECONDS} > {SERVER_TIME}
                 AND seen_at > {STARTED} - {LONGEST_WAIT_FOR_SERVER_MICROSECONDS})"
    )
}

/// Shows that this process lives, for as long as this does.
#[derive(Debug)]
pub(in crate::store) struct Heartbeats {
    beating: AbortHandle,
    /// Whether whatever is stored shows that, too.
    shows: Arc<AtomicBool>,
    patience: Patience,
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Heartbeats {
    /// Shows nothing any more.
    pub(in crate::store) fn stop(&self) {
        self.beating.abort();
        self.shows.store(false, Ordering::Relaxed);
    }

    /// How long the server is waited for that is shown them.
    pub(in crate::store) const fn patience(&self) -> &Patience {
        &self.patience
    }
}

/// What is shown of a process, and what it sees of others on that occasion.
pub(in crate::store) struct Heart {
    pub(in crate::store) process_key: i64,
    pub(in crate::store) timeline_key: i64,
    pub(in crate::store) seen: Arc<Seen>,
    pub(in crate::store) patience: Patience,
    pub(in crate::store) shows: Arc<AtomicBool>,
}

impl Heart {
    /// Begins to beat. Must be called within a runtime.
    pub(in crate::store) fn beat(self, writer: SharedConnection, clock: SharedClock) -> Heartbeats {
        let Self { process_key, timeline_key, seen, patience, shows } = self;
        let beating = async move {
            loop {
                sleep_until(clock.as_ref(), clock.boot_time().plus(INTERVAL)).await;
                // Whoever calls has shown himself with that, and seen the others.
                if seen.has_looked_within(INTERVAL, clock.boot_time()) {
                    continue;
                }
                let (clock, seen) = (SharedClock::clone(&clock), Arc::clone(&seen));
                let beat = move |transaction: &Transaction<'_>| {
                    transaction.may_be_lost();
                    // Whoever calls seldom sees seldom, and what others have called would look young to him.
                    Timelines::report(transaction, timeline_key, clock.as_ref())?.adopt_silent(transaction, &seen)?;
                    show(transaction, process_key)
                };
                // Whoever asks for a call next finds out the same.
                if let Err(error) = writer.run_foreseen(timelines::foresee, beat).await {
                    tracing::info!(%error, "this process could not show that it lives");
                }
            }
        };
        Heartbeats { beating: tokio::spawn(beating).abort_handle(), shows, patience }
    }
}

/// Notes that a process lives. Whoever was taken for dead stays so; and whoever has died, as tests have it by a time before all
/// times, shows himself no more by what was still under way.
pub(in crate::store) fn show(transaction: &Transaction<'_>, process_key: i64) -> Result<(), SqlError> {
    let sql = format!("UPDATE process SET seen_at = {SERVER_TIME} WHERE process_key = ?1 AND seen_at >= 0");
    transaction.prepare_cached(&sql)?.execute([process_key]).map(drop)
}

/// Whether a process lives. One that does not is marked as ended, and so finds out before its next call.
pub(in crate::store) fn is_alive(
    transaction: &Transaction<'_>,
    process_key: i64,
    patience: &Patience,
) -> Result<bool, SqlError> {
    let sql = format!("SELECT NOT ({}) FROM process WHERE process_key = ?1 AND ended = 0", is_silent());
    let is_alive = transaction.query_row(&sql, [process_key], |row| row.get(0)).optional()?;
    let is_alive = is_alive.map(|is_alive: bool| is_alive || patience.has_just_returned());
    if is_alive == Some(false) {
        transaction.execute("UPDATE process SET ended = 1 WHERE process_key = ?1", [process_key])?;
        takeovers::doubt_the_dead(transaction)?;
    }
    Ok(is_alive == Some(true))
}

/// Marks all processes but our own as ended that do not live any more.
pub(in crate::store) fn mark_the_dead(
    transaction: &Transaction<'_>,
    own: i64,
    patience: &Patience,
) -> Result<(), SqlError> {
    if patience.has_just_returned() {
        return Ok(());
    }
    let sql = format!("UPDATE process SET ended = 1 WHERE ended = 0 AND process_key <> ?1 AND {}", is_silent());
    transaction.execute(&sql, [own])?;
    takeovers::doubt_the_dead(transaction)
}

/// Processes that have died without anybody having noted it.
pub(in crate::store) fn the_dead(transaction: &Transaction<'_>) -> Result<Vec<i64>, SqlError> {
    let sql = format!("SELECT process_key FROM process WHERE ended = 0 AND {}", is_silent());
    transaction.prepare_cached(&sql)?.query_map(params![], |row| row.get(0))?.collect()
}
