use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::clock::{BootId, VirtualClock};
use crate::store::NewRun;

struct Fixture {
    store: Store,
    account: AccountKey,
    clock: Arc<VirtualClock>,
}

async fn fixture() -> Fixture {
    let clock = Arc::new(VirtualClock::new(
        BootId::new("boot".into()),
        BootTime::from_microseconds(1_000_000_000),
        Timestamp::UNIX_EPOCH,
    ));
    let store = Store::in_memory(Arc::clone(&clock) as _).expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    Fixture { store, account, clock }
}

impl Fixture {
    fn request(&self, bucket: Bucket, quota: &str) -> AttemptRequest {
        AttemptRequest {
            account: self.account,
            bucket,
            counted_buckets: vec![bucket],
            quota: quota.parse().expect("a quota"),
            run: None,
            call_kind: "tags",
            operations: vec![],
            time_out: Duration::from_secs(10),
        }
    }

    async fn granted(&self, request: AttemptRequest) -> AttemptTicket {
        match self.store.admit(request).await.expect("the store works") {
            Admission::Granted(ticket) => ticket,
            Admission::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    async fn refused(&self, request: AttemptRequest) -> Refusal {
        match self.store.admit(request).await.expect("the store works") {
            Admission::Granted(_) => panic!("granted"),
            Admission::Refused(refusal) => refusal,
        }
    }

    async fn end(&self, ticket: AttemptTicket, end: AttemptEnd) {
        self.store.settle(settlement(ticket, end, None)).await.expect("the store works");
    }
}

fn settlement(ticket: AttemptTicket, end: AttemptEnd, pause: Option<(AccountKey, Bucket, BootTime)>) -> Settlement {
    Settlement { pause, ..Settlement::of(ticket.attempt, end, vec![]) }
}

#[tokio::test(start_paused = true)]
async fn a_call_counts_from_its_announcement_until_a_window_after_its_end() {
    let fixture = fixture().await;
    let request = || fixture.request(Bucket::Tags, "1/2s");
    let ticket = fixture.granted(request()).await;
    assert!(matches!(fixture.refused(request()).await, Refusal::InFlight { .. }));
    tokio::time::sleep(Duration::from_secs(5)).await;
    fixture.end(ticket, AttemptEnd::Now).await;
    let ended = fixture.clock.boot_time();
    let Refusal::Window { until, .. } = fixture.refused(request()).await else { panic!("no window") };
    assert_eq!(until, ended.plus(Duration::from_millis(2001)));
    crate::clock::sleep_until(fixture.clock.as_ref(), until).await;
    fixture.granted(request()).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_given_up_counts_for_thirty_seconds_longer_and_one_never_sent_not_at_all() {
    let fixture = fixture().await;
    let request = || fixture.request(Bucket::Tags, "1/2s");
    let ticket = fixture.granted(request()).await;
    fixture.end(ticket, AttemptEnd::NeverSent).await;
    let ticket = fixture.granted(request()).await;
    fixture.end(ticket, AttemptEnd::GivenUp).await;
    let Refusal::Window { until, .. } = fixture.refused(request()).await else { panic!("no window") };
    assert_eq!(until, fixture.clock.boot_time().plus(Duration::from_millis(32_001)));
}

#[tokio::test(start_paused = true)]
async fn buckets_do_not_count_for_each_other_unless_they_are_merged() {
    let fixture = fixture().await;
    let _open = fixture.granted(fixture.request(Bucket::Tags, "1/2s")).await;
    let ticket = fixture.granted(fixture.request(Bucket::Value, "1/2s")).await;
    fixture.end(ticket, AttemptEnd::Now).await;
    let merged = AttemptRequest { counted_buckets: Bucket::ALL.to_vec(), ..fixture.request(Bucket::Machines, "2/2s") };
    assert!(matches!(fixture.refused(merged).await, Refusal::Window { .. }));
}

#[tokio::test(start_paused = true)]
async fn the_ends_of_two_buckets_that_count_together_are_taken_in_their_order() {
    let fixture = fixture().await;
    let both = |quota| AttemptRequest {
        counted_buckets: vec![Bucket::Tags, Bucket::BulkTags],
        ..fixture.request(Bucket::Tags, quota)
    };
    let began = fixture.clock.boot_time();
    for bucket in [Bucket::Tags, Bucket::BulkTags, Bucket::Tags, Bucket::BulkTags] {
        let ticket = fixture.granted(fixture.request(bucket, "9/20s")).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        fixture.end(ticket, AttemptEnd::Now).await;
    }
    // They ended one second after the other, from the first on.
    for (quota, end) in [("4/20s", 1), ("3/20s", 2), ("2/20s", 3), ("1/20s", 4)] {
        let Refusal::Window { until, .. } = fixture.refused(both(quota)).await else { panic!("no window") };
        assert_eq!(until, began.plus(Duration::from_millis(end * 1000 + 20_010)), "{quota}");
    }
    fixture.granted(both("5/20s")).await;
}

#[tokio::test(start_paused = true)]
async fn another_app_of_the_tenant_has_a_quota_of_its_own() {
    let fixture = fixture().await;
    fixture.granted(fixture.request(Bucket::Tags, "1/2s")).await;
    let other = fixture.store.account("tenant", "other app").await.expect("an account");
    assert_ne!(other, fixture.account);
    let request = AttemptRequest { account: other, ..fixture.request(Bucket::Tags, "1/2s") };
    fixture.granted(request).await;
    assert_eq!(fixture.store.account("tenant", "app").await.expect("an account"), fixture.account);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_everybody_and_only_grows() {
    let fixture = fixture().await;
    let request = || fixture.request(Bucket::Tags, "off");
    let now = fixture.clock.boot_time();
    for seconds in [8, 3] {
        let ticket = fixture.granted(AttemptRequest { counted_buckets: vec![], ..request() }).await;
        let until = now.plus(Duration::from_secs(seconds));
        let pause = Some((fixture.account, Bucket::Tags, until));
        fixture.store.settle(settlement(ticket, AttemptEnd::Now, pause)).await.expect("the store works");
    }
    let expected = Refusal::Paused { until: now.plus(Duration::from_secs(8)) };
    assert_eq!(fixture.refused(request()).await, expected);
    tokio::time::sleep(Duration::from_secs(8)).await;
    fixture.granted(request()).await;
}

#[tokio::test(start_paused = true)]
async fn every_settlement_moves_the_last_activity_of_its_run_on() {
    let fixture = fixture().await;
    let description = NewRun { input_path: "input.csv".into(), ..NewRun::sample(fixture.account) };
    let run = fixture.store.create_run(description).await.expect("the store works");
    for seconds in [60, 120] {
        tokio::time::sleep(Duration::from_mins(1)).await;
        let request = AttemptRequest { run: Some(run), ..fixture.request(Bucket::Tags, "off") };
        let ticket = fixture.granted(request).await;
        fixture.end(ticket, AttemptEnd::Now).await;
        let stored = fixture.store.run_by_id("run").await.expect("a run");
        assert_eq!((stored.created_at.as_second(), stored.last_activity_at.as_second()), (0, seconds));
    }
}
