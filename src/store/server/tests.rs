//! States on a server: two hosts with clocks of their own, and connections that break at the worst moment.

use std::sync::Arc;

use jiff::Timestamp;

use super::between::{Line, Pooler};
use super::*;
use crate::clock::{BootId, BootTime, Clock, SharedClock};
use crate::model::{AnswerFacts, Bucket, Change, DeviceValue, Held, MachineId, OperationId};
use crate::store::{
    AccountKey, Admission, AttemptEnd, AttemptRequest, Claim, NewOperation, NewRun, OperationEffect, OperationState,
    Reader, Refusal, RunKey, Settlement, Store,
};

/// The clock of a host that was started at another time than others.
#[derive(Debug)]
struct HostClock {
    boot_id: BootId,
    origin: std::time::Instant,
    boot_origin: BootTime,
}

impl Clock for HostClock {
    fn boot_time(&self) -> BootTime {
        self.boot_origin.plus(self.origin.elapsed())
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
    Arc::new(HostClock {
        boot_id: BootId::new("the same".into()),
        origin: std::time::Instant::now(),
        boot_origin: BootTime::from_microseconds(0).plus(Duration::from_hours(hours)),
    })
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
        guard: None,
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
    assert_eq!(one.claim_run(run).await.expect("an answer"), Claim::Granted);
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
    assert_eq!(lost.claim_run(run).await.expect("an answer"), Claim::Granted);
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
    assert_eq!(other.claim_run(run).await.expect("an answer"), Claim::Granted);
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
    other.identity.heartbeats.iter().for_each(super::heartbeats::Heartbeats::stop);
    let account = one.account("tenant", "app").await.expect("an account");
    make_calls(&one, account, None, 1, || {}).await;
    one.put_in_order().await;
    let admission = other.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(admission, Admission::Granted(_)), "{admission:?}");
    let adopted = "SELECT max(ended) FROM tagfleet.attempt WHERE adopted = 1 AND timeline_key =";
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
async fn whoever_may_not_look_into_the_schema_is_told_that() {
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
}

/// Makes so many calls of a run, one after the other.
async fn make_calls(store: &Store, account: AccountKey, run: Option<RunKey>, count: usize, before: impl Fn()) {
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
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let store = Store::open_on(&line.address(&place), up_for(1)).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let run = new_run(&store, account, "first").await;
    store.claim_run(run).await.expect("an answer");
    make_calls(&store, account, Some(run), 5, || line.lose_an_answer()).await;
    assert_eq!(line.lost(), 10, "of each call's two commits the answers are lost");
    let written = "SELECT (SELECT count(*) || ' ' || count(ended) FROM tagfleet.attempt) || ' ' ||
        (SELECT attempts FROM tagfleet.operation)";
    assert_eq!(cluster::tell(&place.address, written).as_deref(), Some("5 5 5"));
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
    assert_eq!(one.claim_run(run).await.expect("an answer"), Claim::Granted);
    tokio::join!(make_calls(&one, account, Some(run), 10, || {}), make_calls(&other, account, None, 10, || {}),);
    assert_eq!(other.open_operations(run).await.expect("an answer"), 0);
    let granted = async |store: &Store| {
        let answer = store.admit(request(account, None, "22/1h")).await.expect("an answer");
        matches!(answer, Admission::Granted(_))
    };
    assert!(granted(&one).await && granted(&other).await, "20 calls count");
    assert!(!granted(&one).await && !granted(&other).await, "22 calls count");
}
