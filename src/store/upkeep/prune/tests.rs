use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::clock::{BootId, BootTime, SharedClock, VirtualClock};
use crate::model::{AnswerFacts, Bucket, Change, Held, MachineId, OperationId, Tag, TagAction, TagNumber};
use crate::store::{
    AccountKey, Admission, AttemptEnd, AttemptRequest, InputChunk, NewOperation, NewRun, OperationEffect,
    OperationState, Reader, Refusal, RunCondition, Settlement,
};

const DAY: Duration = Duration::from_hours(24);
const MONTHS: Duration = Duration::from_hours(90 * 24);

/// A state directory, and a clock that goes by the runtime's.
struct Place {
    directory: TempDir,
    clock: SharedClock,
}

impl Place {
    fn new() -> Self {
        let wall: Timestamp = "2026-05-01T00:00:00Z".parse().expect("a time");
        let clock = VirtualClock::new(BootId::new("boot".into()), BootTime::from_microseconds(1_000_000), wall);
        Self { directory: tempfile::tempdir().expect("a directory"), clock: Arc::new(clock) }
    }

    /// The same for what is a matter of files.
    fn in_files(self) -> Self {
        crate::store::server::tests::cluster::keep_in_files(self.directory.path());
        self
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The store of a process of its own; that dies when the store is dropped.
    async fn process(&self) -> Process {
        let store = Store::open(&self.state(), Arc::clone(&self.clock)).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        Process { store, account }
    }

    async fn runs(&self) -> Vec<(String, RunCondition)> {
        let reader = Reader::open(&self.state()).await.expect("a reader").expect("a database");
        let runs = reader.runs().await.expect("the store works");
        runs.into_iter().map(|run| (run.run_id, run.condition)).collect()
    }

    /// How many rows each table has that a run or a call leaves something in.
    async fn rows_left(&self) -> Vec<(&'static str, u32)> {
        const TABLES: [&str; 8] =
            ["run", "input_chunk", "row_problem", "tag", "operation", "attempt", "process", "timeline"];
        let reader = Reader::open(&self.state()).await.expect("a reader").expect("a database");
        let count = |transaction: &Transaction<'_>, table| {
            transaction.query_row(&format!("SELECT count(*) FROM {table}"), params![], |row| row.get(0))
        };
        let counted = reader
            .connection
            .run(move |transaction| TABLES.into_iter().map(|table| Ok((table, count(transaction, table)?))).collect());
        counted.await.expect("the store works")
    }

    /// How long the database is.
    async fn pages(&self) -> u32 {
        let reader = Reader::open(&self.state()).await.expect("a reader").expect("a database");
        reader
            .connection
            .run(|transaction| Ok(all_pages(transaction.sqlite().expect("a file"))?))
            .await
            .expect("the store works")
    }

    fn lock_files(&self) -> usize {
        std::fs::read_dir(self.state().join("processes")).expect("a directory").count()
    }
}

struct Process {
    store: Store,
    account: AccountKey,
}

impl Process {
    /// Stores a run of so many operations, each with a row of its own.
    async fn prepare(&self, run_id: &str, operations: u32) -> RunKey {
        let store = &self.store;
        let run = NewRun {
            run_id: run_id.into(),
            input_path: "input.csv".into(),
            header: vec!["machineId".into()],
            row_count: operations,
            ..NewRun::sample(self.account)
        };
        let run = store.create_run(run).await.expect("the store works");
        store.add_tags(run, 0, vec![Tag::new("A").expect("a tag")]).await.expect("the store works");
        let operation = |number| NewOperation {
            operation: OperationId(number),
            machine: MachineId::from_service(&format!("{number:040x}")),
            change: Change::Tag(TagAction::Add, TagNumber(0)),
            swap: None,
            unlisted: false,
            before: Held::Unknown,
            settled: None,
        };
        store.add_operations(run, (0..operations).map(operation).collect()).await.expect("the store works");
        for first in (0..operations).step_by(1_000) {
            let last = operations.min(first + 1_000);
            let chunk = InputChunk {
                first_row: first + 1,
                numbers: vec![],
                records: vec![b'x'; 60 * (last - first) as usize],
                operations: (first..last).map(|number| vec![OperationId(number)]).collect(),
            };
            store.add_chunks(run, vec![chunk]).await.expect("the store works");
        }
        store.add_problems(run, vec![(1, "bad", "bad".into())]).await.expect("the store works");
        run
    }

    fn request(&self, run: Option<RunKey>, operations: Vec<OperationId>) -> AttemptRequest {
        AttemptRequest {
            account: self.account,
            bucket: Bucket::Tags,
            counted_buckets: vec![Bucket::Tags],
            quota: "1/1h".parse().expect("a quota"),
            run,
            call_kind: "tags",
            operations,
            time_out: Duration::from_secs(10),
        }
    }

    /// Makes one call that settles all operations of the run.
    async fn call(&self, run: Option<RunKey>, operations: u32) {
        let operations: Vec<OperationId> = (0..operations).map(OperationId).collect();
        let admission = self.store.admit(self.request(run, operations.clone())).await.expect("the store works");
        let Admission::Granted(ticket) = admission else { panic!("{admission:?}") };
        let effect = |operation| OperationEffect {
            operation,
            state: Some(OperationState::Succeeded),
            ambiguous: false,
            answer: AnswerFacts::default(),
            after: Held::Unknown,
        };
        let settlement = Settlement::of(ticket.attempt, AttemptEnd::Now, operations.into_iter().map(effect).collect());
        self.store.settle(settlement).await.expect("the store works");
    }

    /// Begins and ends a run.
    async fn finish(&self, run_id: &str, operations: u32) {
        let run = self.prepare(run_id, operations).await;
        self.call(Some(run), operations).await;
        self.store.set_run_state(run, RunState::Finished).await.expect("the store works");
    }

    async fn prune(&self, keep: Duration) -> Option<KeptInDoubt> {
        self.store.prune(keep).await.expect("the store works")
    }
}

#[tokio::test(start_paused = true)]
async fn runs_go_when_nothing_has_happened_in_them_for_long_and_nobody_is_at_them() {
    // The calls of a process that has died age by the clock of another from then on only, where each has its own.
    let place = Place::new().in_files();
    place.process().await.finish("old", 3).await;
    let crashed = place.process().await;
    let run = crashed.prepare("crashed", 3).await;
    crashed.store.set_run_state(run, RunState::Running).await.expect("the store works");
    drop(crashed);
    let alive = place.process().await;
    let run = alive.prepare("alive", 3).await;
    alive.store.set_run_state(run, RunState::Running).await.expect("the store works");
    tokio::time::sleep(89 * DAY).await;
    place.process().await.finish("young", 3).await;
    let last = place.process().await;
    last.prune(MONTHS).await;
    assert_eq!(place.runs().await.len(), 4);
    tokio::time::sleep(2 * DAY).await;
    last.prune(MONTHS).await;
    let expected = [("young".to_owned(), RunCondition::Finished), ("alive".to_owned(), RunCondition::Running)];
    assert_eq!(place.runs().await, expected);
    // What is left belongs to these two, to the process that is alive, and to the one that prunes.
    let left = [("run", 2), ("input_chunk", 2), ("row_problem", 2), ("tag", 2), ("operation", 6), ("attempt", 1)];
    assert_eq!(place.rows_left().await[..6], left);
    assert_eq!(place.rows_left().await[6..], [("process", 3), ("timeline", 1)]);
    assert_eq!(place.lock_files(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_stays_as_long_as_one_that_came_before_it() {
    // A process of another host is waited for.
    let place = Place::new().in_files();
    for name in ["first", "left", "later"] {
        place.process().await.finish(name, 3).await;
        tokio::time::sleep(DAY).await;
    }
    tokio::time::sleep(MONTHS).await;
    let process = place.process().await;
    let left = process.store.run_by_id("left").await.expect("it is there").key;
    process.store.set_run_state(left, RunState::Running).await.expect("the store works");
    process.prune(MONTHS).await;
    let names = async || place.runs().await.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names().await, ["later", "left"]);
    drop(process);
    tokio::time::sleep(MONTHS + DAY).await;
    place.process().await.prune(MONTHS).await;
    assert_eq!(names().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_deletes_nothing_until_it_has_gone_on_for_a_day() {
    let mut place = Place::new();
    let first = place.process().await;
    first.finish("old", 3).await;
    assert_eq!(first.prune(MONTHS).await, None);
    drop(first);
    let wall = |text: &str| text.parse::<Timestamp>().expect("a time");
    let started_anew = |boot: &str, time| {
        Arc::new(VirtualClock::new(BootId::new(boot.into()), BootTime::from_microseconds(1_000_000), time))
    };
    place.clock = started_anew("wrong", wall("2036-05-01T00:00:00Z"));
    for hours in [0, 1, 22] {
        tokio::time::sleep(Duration::from_hours(hours)).await;
        let kept = place.process().await.prune(MONTHS).await.expect("it is told");
        assert!(kept.runs == 1 && kept.jumped_by > 3600 * DAY, "{kept:?}");
        assert_eq!(place.runs().await.len(), 1, "after {hours} hours more");
    }
    // It is set right, and then wrong again: that is a jump of its own.
    place.clock = started_anew("right", wall("2026-05-02T00:00:00Z"));
    assert_eq!(place.process().await.prune(MONTHS).await, None);
    place.clock = started_anew("wrong again", wall("2036-05-01T00:00:00Z"));
    assert!(place.process().await.prune(MONTHS).await.is_some());
    tokio::time::sleep(DAY).await;
    assert_eq!(place.process().await.prune(MONTHS).await, None);
    assert!(place.runs().await.is_empty(), "a day later it is believed");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_never_began_goes_at_once_when_its_process_is_dead() {
    let place = Place::new();
    let other = place.process().await;
    other.prepare("being prepared", 3).await;
    let last = place.process().await;
    last.prune(MONTHS).await;
    assert_eq!(place.runs().await, [("being prepared".to_owned(), RunCondition::Preparing)]);
    drop(other);
    assert_eq!(place.runs().await, [("being prepared".to_owned(), RunCondition::NeverBegan)]);
    last.prune(MONTHS).await;
    assert_eq!(place.runs().await, []);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_kept_for_as_long_as_the_ledger_may_need_them_whatever_becomes_of_their_run() {
    let place = Place::new();
    place.process().await.finish("run", 3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let last = place.process().await;
    last.prune(Duration::ZERO).await;
    assert_eq!(place.runs().await, []);
    let admission = last.store.admit(last.request(None, vec![])).await.expect("the store works");
    assert!(matches!(admission, Admission::Refused(Refusal::Window { .. })), "{admission:?}");
    // Call after call without a run, as an inventory makes them.
    for _day in 0..3 {
        tokio::time::sleep(DAY).await;
        last.call(None, 0).await;
        last.prune(Duration::ZERO).await;
    }
    assert_eq!(place.rows_left().await[5], ("attempt", 2));
    last.prune(MONTHS).await;
    tokio::time::sleep(MONTHS).await;
    last.prune(MONTHS).await;
    assert_eq!(place.rows_left().await[5], ("attempt", 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_pruning_process_leaves_in_the_middle_the_next_one_removes() {
    let place = Place::new();
    place.process().await.finish("run", 12_000).await;
    let first = place.process().await;
    first.store.sweep_dead_processes().await.expect("the store works");
    tokio::time::sleep(DAY).await;
    let marked = first.store.writer.run(|transaction| {
        mark_old_runs(transaction, i64::MAX)?;
        next_marked_run(transaction)
    });
    let run = marked.await.expect("the store works").expect("a run");
    assert!(first.store.remove_piece(run).await.expect("the store works"));
    assert_eq!(place.runs().await, []);
    assert!(first.store.run_by_id("run").await.is_err());
    drop(first);
    place.process().await.prune(MONTHS).await;
    let left = place.rows_left().await;
    assert!(left[..5].iter().all(|(_, count)| *count == 0), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_gives_way_leaves_nothing() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.prepare("run", 12_000).await;
    process.store.discard_run(run).await.expect("the store works");
    let left = place.rows_left().await;
    assert!(left[..6].iter().all(|(_, count)| *count == 0), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_runs_take_no_more_room_than_a_few() {
    let place = Place::new().in_files();
    let mut after_ten = 0;
    for number in 0..100 {
        let process = place.process().await;
        process.prune(MONTHS).await;
        process.finish(&format!("run {number}"), 100).await;
        tokio::time::sleep(10 * DAY).await;
        if number == 10 {
            after_ten = place.pages().await;
        }
    }
    let after_hundred = place.pages().await;
    assert!(after_hundred <= after_ten * 5 / 4, "{after_hundred} pages after {after_ten}");
}

#[tokio::test(start_paused = true)]
async fn a_large_run_gives_its_room_back_to_the_disk() {
    let place = Place::new().in_files();
    place.process().await.finish("large", 40_000).await;
    let large = place.pages().await;
    tokio::time::sleep(2 * MONTHS).await;
    place.process().await.prune(MONTHS).await;
    let left = place.pages().await;
    assert!(large > KEPT_FREE_PAGES + 500, "{large}");
    assert!(left < KEPT_FREE_PAGES + 100, "{left} pages after {large}");
}
