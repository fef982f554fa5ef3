//! States on a server: two hosts with clocks of their own, and connections that break at the worst moment.

mod between;
mod clocks;
pub(crate) mod cluster;
mod encryption;
mod outages;
mod overtaken;
mod refusals;
mod speed;

use std::sync::Arc;

use jiff::Timestamp;

use self::between::{Line, Pooler};
use super::*;
use crate::clock::{BootId, BootTime, Clock, SharedClock};
use crate::model::{AnswerFacts, Bucket, Change, DeviceValue, Held, MachineId, OperationId};
use crate::store::{
    AccountKey, Admission, AttemptEnd, AttemptRequest, Claim, NewOperation, NewRun, OperationEffect, OperationState,
    Reader, Refusal, RunKey, Settlement, StatePlace, Store, UnfinishedRun,
};

/// The clock of a host that was started at another time than others.
#[derive(Debug)]
struct HostClock {
    boot_id: BootId,
    origin: std::time::Instant,
    boot_origin: BootTime,
    jumped: std::sync::atomic::AtomicU64,
}

impl HostClock {
    fn up_for(hours: u64) -> Self {
        Self {
            boot_id: BootId::new("the same".into()),
            origin: std::time::Instant::now(),
            boot_origin: BootTime::from_microseconds(0).plus(Duration::from_hours(hours)),
            jumped: 0.into(),
        }
    }

    /// Lets so much time pass at once.
    fn jump(&self, seconds: u64) {
        self.jumped.fetch_add(seconds, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for HostClock {
    fn boot_time(&self) -> BootTime {
        let jumped = Duration::from_secs(self.jumped.load(std::sync::atomic::Ordering::SeqCst));
        self.boot_origin.plus(self.origin.elapsed() + jumped)
    }

    fn wall_time(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot_id(&self) -> &BootId {
        &self.boot_id
    }
}

/// The clock of a host that has been up for so long. All of them show the same start of the machine, as containers do.
pub(super) fn up_for(hours: u64) -> SharedClock {
    Arc::new(HostClock::up_for(hours))
}

pub(super) fn request(account: AccountKey, run: Option<RunKey>, quota: &str) -> AttemptRequest {
    AttemptRequest {
        account,
        bucket: Bucket::Value,
        counted_buckets: vec![Bucket::Value],
        quota: quota.parse().expect("a quota"),
        run,
        call_kind: "value",
        operations: vec![OperationId(0)],
        time_out: Duration::from_secs(10),
    }
}

pub(super) fn settlement(ticket: crate::store::AttemptTicket) -> Settlement {
    Settlement::of(
        ticket.attempt,
        AttemptEnd::Now,
        vec![OperationEffect {
            operation: OperationId(0),
            state: Some(OperationState::Succeeded),
            ambiguous: false,
            answer: AnswerFacts { error_message: Some("a\0b".into()), ..AnswerFacts::default() },
            after: Held::Value(DeviceValue::High),
        }],
    )
}

pub(super) async fn new_run(store: &Store, account: AccountKey, run_id: &str) -> RunKey {
    let run = NewRun { run_id: run_id.into(), ..NewRun::sample(account) };
    let run = store.create_run(run).await.expect("a run");
    let operation = NewOperation {
        operation: OperationId(0),
        machine: MachineId::from_service("m0"),
        change: Change::DeviceValue(DeviceValue::High),
        swap: None,
        unlisted: false,
        before: Held::Unknown,
        settled: None,
    };
    store.add_operations(run, vec![operation]).await.expect("operations");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_one_server_see_each_others_runs_and_calls() {
    let Some(address) = cluster::new_database() else { return };
    assert!(Reader::open_on(&address).await.expect("an answer").is_none(), "nothing is there yet");
    let one = Store::open_on(&address, up_for(1)).await.expect("a store");
    let other = Store::open_on(&address, up_for(5000)).await.expect("a store");
    let account = one.account("tenant", "app").await.expect("an account");
    assert_eq!(other.account("Tenant", "APP").await.expect("an account"), account);
    let run = new_run(&one, account, "first").await;
    assert!(one.claim_run(run).await.expect("an answer").is_granted());
    let claim = other.claim_run(run).await.expect("an answer");
    assert!(matches!(claim, Claim::Held(holders) if holders.len() == 1 && !holders[0].host.is_empty()));
    let Admission::Granted(ticket) = one.admit(request(account, Some(run), "1/2s")).await.expect("an answer") else {
        panic!("refused")
    };
    let refused = other.admit(request(account, None, "1/2s")).await.expect("an answer");
    assert!(matches!(refused, Admission::Refused(Refusal::InFlight { .. })), "{refused:?}");
    one.settle(settlement(ticket)).await.expect("an outcome");
    let Admission::Refused(Refusal::Window { until, .. }) =
        other.admit(request(account, None, "1/2s")).await.expect("an answer")
    else {
        panic!("the call counts everywhere")
    };
    crate::clock::sleep_until(other.clock.as_ref(), until).await;
    let began = std::time::Instant::now();
    while !matches!(other.admit(request(account, None, "1/2s")).await.expect("an answer"), Admission::Granted(_)) {
        assert!(began.elapsed() < Duration::from_secs(30), "the call ages by the heartbeats of its host");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let runs = Reader::open_on(&address).await.expect("an answer").expect("a state").runs().await.expect("the runs");
    assert_eq!(runs[0].operations, [(OperationState::Succeeded, 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_taken_for_dead_makes_no_more_calls_and_its_run_goes_on_elsewhere() {
    let Some(address) = cluster::new_database() else { return };
    let lost = Store::open_on(&address, up_for(1)).await.expect("a store");
    let account = lost.account("tenant", "app").await.expect("an account");
    let run = new_run(&lost, account, "first").await;
    assert!(lost.claim_run(run).await.expect("an answer").is_granted());
    let Admission::Granted(ticket) = lost.admit(request(account, Some(run), "9/1h")).await.expect("an answer") else {
        panic!("refused")
    };
    let other = Store::open_on(&address, up_for(7)).await.expect("a store");
    assert!(matches!(other.claim_run(run).await.expect("an answer"), Claim::Held(_)));
    // Nothing was heard of it for a minute; its next heartbeat may be on its way.
    cluster::tell(
        &address,
        "UPDATE tagfleet.process SET seen_at = seen_at - 60000000, ended = 1 WHERE process_key = 1",
    );
    // What it has in flight may still arrive for a while.
    assert!(matches!(other.claim_run(run).await.expect("an answer"), Claim::Held(_)));
    cluster::tell(&address, "UPDATE tagfleet.attempt SET ended = ended - 60000000 WHERE verdict = 'lost'");
    assert!(other.claim_run(run).await.expect("an answer").is_granted());
    other.take_over(run).await.expect("its calls are closed");
    assert!(matches!(lost.settle(settlement(ticket)).await, Err(StoreError::TakenOver)));
    assert!(matches!(lost.admit(request(account, Some(run), "9/1h")).await, Err(StoreError::TakenOver)));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_process_that_has_ended_in_order_age_on_with_the_next_that_asks() {
    let Some(address) = cluster::new_database() else { return };
    let one = Store::open_on(&address, up_for(1)).await.expect("a store");
    let other = Store::open_on(&address, up_for(5000)).await.expect("a store");
    // Only what this test does is to be seen.
    other.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    let account = one.account("tenant", "app").await.expect("an account");
    make_calls(&one, account, None, 1, || {}).await;
    one.put_in_order().await;
    let admission = other.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(admission, Admission::Granted(_)), "{admission:?}");
    let adopted = "SELECT max(ended) FROM tagfleet.attempt WHERE adopted > 0 AND timeline_key =";
    cluster::tell(&address, &format!("{adopted} {}", other.identity.timeline_key)).expect("it is adopted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_to_connections_is_made_good() {
    let Some(address) = cluster::new_database() else { return };
    let store = Store::open_on(&address, up_for(1)).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let run = new_run(&store, account, "first").await;
    store.claim_run(run).await.expect("an answer");
    let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..5 {
        cluster::tell(&address, others);
        let admission = store.admit(request(account, Some(run), "off")).await.expect("an answer");
        let Admission::Granted(ticket) = admission else { panic!("{admission:?}") };
        cluster::tell(&address, others);
        store.settle(settlement(ticket)).await.expect("an outcome");
    }
    let attempts = cluster::tell(&address, "SELECT count(*) || ' ' || count(ended) FROM tagfleet.attempt");
    assert_eq!(attempts.as_deref(), Some("5 5"));
    assert_eq!(store.open_operations(run).await.expect("the reader comes back, too"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_look_into_the_schema_or_change_its_tables_is_told_that() {
    let Some(place) = cluster::new_place() else { return };
    drop(Store::open_on(&place.address, up_for(1)).await.expect("a store"));
    cluster::tell(&place.address, "CREATE ROLE stranger LOGIN");
    let text = format!("postgresql://stranger@/{}?host={}", place.database, place.socket.display());
    let stranger = ServerAddress::parse(&text, PasswordSource::None, None).expect("an address");
    for refused in [
        Store::open_on(&stranger, up_for(1)).await.map(drop).expect_err("no right to look"),
        Reader::open_on(&stranger).await.map(drop).expect_err("no right to look"),
    ] {
        assert!(refused.to_string().contains("does not allow this user what tagfleet needs"), "{refused}");
        assert_eq!(crate::exit::storage_status(&refused).code(), 2, "{refused}");
    }
    // Each right that is missing is told before anything is done.
    let granted = "GRANT USAGE ON SCHEMA tagfleet TO stranger;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tagfleet TO stranger;
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA tagfleet TO stranger";
    for (right, lacking) in [
        ("INSERT ON tagfleet.run", "run"),
        ("DELETE ON tagfleet.process", "process"),
        ("ALL ON tagfleet.slot_history", "slot_history"),
        ("ALL ON SEQUENCE tagfleet.run_run_key_seq", "run_run_key_seq"),
    ] {
        cluster::tell(&place.address, &format!("{granted}; REVOKE {right} FROM stranger"));
        let refused = Store::open_on(&stranger, up_for(1)).await.map(drop).expect_err("a right is missing");
        assert!(refused.to_string().ends_with(&format!("that tagfleet needs on: {lacking}")), "{right}: {refused}");
        assert_eq!(crate::exit::storage_status(&refused).code(), 2, "{refused}");
        let reads = Reader::open_on(&stranger).await;
        assert_eq!(reads.is_ok(), lacking != "slot_history", "{right}: {reads:?}");
    }
    // Neither does it help to be granted the tables where they are of an older program.
    cluster::tell(
        &place.address,
        &format!(
            "{granted}; UPDATE tagfleet.form SET tables = tables - 1;
         ALTER TABLE tagfleet.sitting DROP COLUMN reading_options;
         ALTER TABLE tagfleet.run DROP COLUMN asked_after"
        ),
    );
    let refused = Store::open_on(&stranger, up_for(1)).await.map(drop).expect_err("others' tables");
    assert!(refused.to_string().contains("older tagfleet, which this user may not change"), "{refused}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("tagfleet state init")), "{refused}");
    assert_eq!(crate::exit::storage_status(&refused).code(), 2, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused_before_anything_is_asked_of_it() {
    let table = [("9.6.24", true), ("12.18 (Debian 12.18-1.pgdg120+1)", true), ("13beta1", false), ("", false)];
    for (version, is_refused) in table {
        let directory = tempfile::tempdir().expect("a directory");
        let asked = between::greet(directory.path(), version);
        let address = cluster::on_socket(directory.path(), "any");
        for failed in [
            Store::open_on(&address, up_for(1)).await.map(drop).expect_err("there is no such server"),
            Reader::open_on(&address).await.map(drop).expect_err("there is no such server"),
        ] {
            let (words, cause) = (failed.to_string(), std::error::Error::source(&failed).map(ToString::to_string));
            assert_eq!(words.ends_with("is on a server that is too old"), is_refused, "{version:?}: {words}");
            if is_refused {
                assert_eq!(cause, Some(format!("it is PostgreSQL {version}")));
                assert_eq!(crate::exit::storage_status(&failed).code(), 2);
                let hint = failed.hint().expect("a hint");
                assert!(hint.starts_with("tagfleet needs PostgreSQL 13 or later: "), "{hint}");
            }
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), !is_refused, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_the_dead_are_waited_for_since_their_host_was_seen_last_and_not_since_it_counts_as_dead() {
    let Some(address) = cluster::new_database() else { return };
    let dying = Store::open_on(&address, up_for(1)).await.expect("a store");
    let account = dying.account("tenant", "app").await.expect("an account");
    let run = new_run(&dying, account, "first").await;
    dying.claim_run(run).await.expect("an answer");
    let admission = dying.admit(request(account, Some(run), "9/1h")).await.expect("an answer");
    assert!(matches!(admission, Admission::Granted(_)), "{admission:?}");
    dying.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    // What it had still to say is said.
    dying.account("tenant", "app").await.expect("an account");
    let clock = Arc::new(HostClock::up_for(7));
    let other = Store::open_on(&address, clock.clone()).await.expect("a store");
    let silent_for = |claim: Claim| match claim {
        Claim::Held(holders) => holders[0].silent_from.map(|until| until.duration_since(Timestamp::now()).as_secs()),
        Claim::Granted(_) => panic!("a call may still arrive"),
    };
    assert_eq!(silent_for(other.claim_run(run).await.expect("an answer")), None, "it lives");
    let seen = other.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(seen, Admission::Granted(_)), "{seen:?}");
    clock.jump(30);
    cluster::tell(&address, "UPDATE tagfleet.process SET seen_at = seen_at - 90000000000 WHERE process_key = 1");
    // 45 seconds after it left the call cannot arrive any more: 5 to leave, 10 of its time-out, 30 on the way.
    let left = silent_for(other.claim_run(run).await.expect("an answer")).expect("it is dead");
    assert!((0..15).contains(&left), "{left} s");
    clock.jump(15);
    assert!(other.claim_run(run).await.expect("an answer").is_granted());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_of_an_input_counts_only_on_the_host_that_has_named_it() {
    let Some(address) = cluster::new_database() else { return };
    let store = Store::open_on(&address, up_for(1)).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let unfinished = async || {
        let runs = store.unfinished_runs(account, &NewRun::sample(account).host).await.expect("the runs");
        let [run] = runs.try_into().expect("one run");
        let UnfinishedRun { run, has_our_paths, earlier_paths, .. } = run;
        (run.key, has_our_paths, earlier_paths.into_iter().filter(|path| !path.is_empty()).count())
    };
    let first = new_run(&store, account, "first").await;
    store.claim_run(first).await.expect("an answer");
    assert_eq!(unfinished().await, (first, true, 0));
    let mut last = first;
    // As one that is gone on with by whoever has the same operations.
    for (host, earlier_paths) in [(None, 1), (Some("elsewhere"), 0), (None, 1)] {
        if let Some(host) = host {
            cluster::tell(&address, &format!("UPDATE tagfleet.run SET input_host = '{host}'"));
            // Also where it was resumed here.
            store.claim_run(last).await.expect("an answer");
            assert_eq!(unfinished().await, (last, false, 1));
        }
        let next = new_run(&store, account, "next").await;
        store.succeed(last, next).await.expect("a successor");
        last = next;
        assert_eq!(unfinished().await, (next, true, earlier_paths));
    }
}

/// A run that a process is at, and the line over which it asks the server.
pub(super) struct Claimed {
    pub(super) place: cluster::Place,
    pub(in crate::store) line: Line,
    pub(super) store: Store,
    pub(super) account: AccountKey,
    pub(super) run: RunKey,
}

/// A run that a process is at, alone on a database of its own.
pub(super) async fn claimed() -> Option<Claimed> {
    let place = cluster::new_place()?;
    let line = Line::to(&place);
    let store = Store::open_on(&line.address(&place), up_for(1)).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let run = new_run(&store, account, "first").await;
    store.claim_run(run).await.expect("an answer");
    Some(Claimed { place, line, store, account, run })
}

/// Makes so many calls of a run, one after the other.
pub(super) async fn make_calls(
    store: &Store,
    account: AccountKey,
    run: Option<RunKey>,
    count: usize,
    before: impl Fn(),
) {
    for _ in 0..count {
        before();
        let admission = store.admit(request(account, run, "off")).await.expect("an answer");
        let Admission::Granted(ticket) = admission else { panic!("{admission:?}") };
        before();
        store.settle(settlement(ticket)).await.expect("an outcome");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_takes_place_once() {
    let Some(Claimed { place, line, store, account, run }) = claimed().await else { return };
    make_calls(&store, account, Some(run), 5, || line.lose_an_answer_after(0)).await;
    assert_eq!(line.lost(), 10, "of each call's two commits the answers are lost");
    let written = "SELECT (SELECT count(*) || ' ' || count(ended) FROM tagfleet.attempt) || ' ' ||
        (SELECT attempts FROM tagfleet.operation)";
    assert_eq!(cluster::tell(&place.address, written).as_deref(), Some("5 5 5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_commit_of_a_command_has_its_answer_lost_takes_place_once() {
    for commits in 0_u32.. {
        let Some(place) = cluster::new_place() else { return };
        let line = Line::to(&place);
        line.lose_an_answer_after(commits);
        // The first one makes the tables, the other finds them.
        for command in 0..2 {
            let store = Store::open_on(&line.address(&place), up_for(1)).await.expect("a store");
            let account = store.account("tenant", "app").await.expect("an account");
            let run = new_run(&store, account, &format!("run {command}")).await;
            assert!(store.claim_run(run).await.expect("an answer").is_granted());
            make_calls(&store, account, Some(run), 1, || {}).await;
            assert!(store.put_in_order().await.is_none());
        }
        let written = "SELECT (SELECT count(*) || ' ' || sum(ended) FROM tagfleet.process) || ' ' ||
            (SELECT count(*) || ' ' || count(ended) FROM tagfleet.attempt) || ' ' ||
            (SELECT sum(attempts) FROM tagfleet.operation) || ' ' || (SELECT count(*) FROM tagfleet.timeline)";
        assert_eq!(cluster::tell(&place.address, written).as_deref(), Some("2 2 2 2 2 1"), "commit {commits}");
        if line.lost() == 0 {
            assert!(commits > 12, "{commits}: the answers to many more commits can be lost");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_moved_to_a_server_is_there_once_also_where_the_answer_to_its_commit_is_lost() {
    let (Some(from), Some(to)) = (cluster::new_place(), cluster::new_place()) else { return };
    let line = Line::to(&to);
    let source = Store::open_on(&from.address, up_for(1)).await.expect("a store");
    let account = source.account("tenant", "app").await.expect("an account");
    make_calls(&source, account, None, 1, || {}).await;
    source.put_in_order().await;
    let [source, destination] = [from.address, line.address(&to)].map(|address| StatePlace::Server(Box::new(address)));
    destination.prepare(up_for(5000)).await.expect("the tables");
    // Before it there are those of looking at the tables, of entering, and of what the dead leave.
    line.lose_an_answer_after(3);
    let copied = source.copy_to(&destination, up_for(5000)).await.expect("a copy");
    assert!(copied.is_some(), "it was empty");
    assert_eq!(line.lost(), 1);
    let next = Store::open_on(&to.address, up_for(9)).await.expect("a store");
    let refused = next.admit(request(account, None, "1/1h")).await.expect("an answer");
    assert!(matches!(refused, Admission::Refused(Refusal::Window { .. })), "the call counts there: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_may_lend_every_transaction_another_connection() {
    let Some(place) = cluster::new_place() else { return };
    let Some(pooler) = Pooler::to(&place) else { return };
    let address = pooler.address(&place);
    let one = Store::open_on(&address, up_for(1)).await.expect("a store");
    let other = Store::open_on(&address, up_for(9)).await.expect("a store");
    let account = one.account("tenant", "app").await.expect("an account");
    let run = new_run(&one, account, "first").await;
    assert!(one.claim_run(run).await.expect("an answer").is_granted());
    tokio::join!(make_calls(&one, account, Some(run), 10, || {}), make_calls(&other, account, None, 10, || {}),);
    assert_eq!(other.open_operations(run).await.expect("an answer"), 0);
    let granted = async |store: &Store| {
        let answer = store.admit(request(account, None, "22/1h")).await.expect("an answer");
        matches!(answer, Admission::Granted(_))
    };
    assert!(granted(&one).await && granted(&other).await, "20 calls count");
    assert!(!granted(&one).await && !granted(&other).await, "22 calls count");
}
