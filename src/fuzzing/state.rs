//! A state database that somebody has damaged, as `runs`, `results` and a run that is resumed read it.

use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::clock::{SharedClock, SystemClock};
use crate::model::{Bucket, ChangeKind, OperationId};
use crate::report::{ResultsTarget, RunList, RunView, Screen, Streams, write_results};
use crate::store::{AttemptRequest, Reader, Store, StoreError, WorkKind, fuzzing};

/// More of a list than this is not looked at.
const LOOKED_AT: usize = 4;
/// The host of the runs in the database.
const HOST: &str = "api.security.microsoft.com";

/// Reads a database whose bytes were changed.
pub(super) fn damaged_file(data: &[u8]) {
    look_into(fuzzing::with_damaged_bytes(data).path());
}

/// Reads a database whose values were changed.
pub(super) fn damaged_values(data: &[u8]) {
    look_into(fuzzing::with_damaged_values(data).path());
}

/// Streams that nobody reads.
#[derive(Debug)]
struct Unread;

impl Streams for Unread {
    fn write_error(&self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn write_data(&self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Does with the state whatever the program does, and says how many runs were seen, to be shown and to be resumed.
fn look_into(directory: &Path) -> [usize; 2] {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime"));
    static CLOCK: LazyLock<SharedClock> = LazyLock::new(|| Arc::new(SystemClock::new().expect("clocks")));
    RUNTIME.block_on(async {
        // An error is an answer, too, unless it says that the thread of the database has panicked.
        let mut seen = [0; 2];
        if let Ok(Some(reader)) = Reader::open(directory).await {
            seen[0] = show(&reader).await;
            assert!(!matches!(reader.runs().await, Err(StoreError::Closed)), "the reader is alive");
        }
        if let Ok(store) = Store::open_at_once(directory, Arc::clone(&CLOCK)).await {
            seen[1] = go_on(&store).await;
            assert!(!matches!(store.account("tenant", "app").await, Err(StoreError::Closed)), "the writer is alive");
            assert!(!matches!(store.runs().await, Err(StoreError::Closed)), "its reader is alive");
        }
        seen
    })
}

/// Shows whatever runs there are, and says how many.
async fn show(reader: &Reader) -> usize {
    let screen = Screen::over(Arc::new(Unread), true);
    let runs = reader.runs().await.unwrap_or_default();
    let list = RunList { runs: &runs };
    drop((list.json(), list.text(&screen)));
    for entry in runs.iter().take(LOOKED_AT) {
        if let Ok(details) = reader.run_details(&entry.run_id).await {
            let view = RunView { details: &details, repeated_options: "", said: None };
            drop((view.json(), view.text(&screen)));
        }
        if let Ok(run) = reader.run_by_id(&entry.run_id).await {
            drop(write_results(reader, &run, &ResultsTarget::StandardOutput, false, &screen).await);
        }
    }
    runs.len()
}

/// Reads what a run needs that is resumed or undone, and asks for a call; says how many runs there are.
async fn go_on(store: &Store) -> usize {
    let Ok(account) = store.account("tenant", "app").await else { return 0 };
    drop(store.recent_writes(account, HOST, Duration::from_mins(15)).await);
    drop(store.mean_round_trip(account).await);
    drop(store.prune(Duration::from_hours(24)).await);
    let unfinished_runs = store.unfinished_runs(account, HOST).await.unwrap_or_default();
    for unfinished in unfinished_runs.iter().take(LOOKED_AT) {
        let run = unfinished.run.key;
        drop(store.claim_run(run).await);
        drop(store.take_over(run).await);
        drop(store.known_operations(run, None, 100).await);
        drop(store.later_writes(run).await);
        drop(store.run_slots(run).await);
        drop(store.slot_history(run).await);
        drop(store.unknown_operations(run).await);
        drop(store.swaps(run).await);
        for change in [ChangeKind::Add, ChangeKind::Remove, ChangeKind::DeviceValue] {
            let kind = WorkKind { change, unlisted: false };
            drop(store.count_work(run, kind, 500).await);
            drop(store.sent_before(run, kind).await);
            drop(store.next_work(run, kind, None, 500).await);
        }
        let request = AttemptRequest {
            account,
            bucket: Bucket::Tags,
            counted_buckets: Bucket::ALL.to_vec(),
            quota: "100/1m,1500/1h".parse().expect("a quota"),
            run: Some(run),
            call_kind: "tags",
            operations: vec![OperationId(0)],
            time_out: Duration::from_secs(30),
        };
        drop(store.admit(request).await);
        drop(store.close_run(run).await);
    }
    unfinished_runs.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_damaged_is_seen() {
        assert_eq!(look_into(fuzzing::with_damaged_bytes(&[]).path()), [2; 2]);
        assert_eq!(look_into(fuzzing::with_damaged_values(&[]).path()), [2; 2]);
    }
}
