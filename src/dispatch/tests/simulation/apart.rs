//! Single and bulk tag calls side by side, against a service that counts them apart and one that does not.

use super::*;
use crate::call::GateSettings;
use crate::model::Tag;
use crate::quota::QuotaScope;
use crate::sandbox::in_memory::InMemory;
use crate::sandbox::{DeadMachines, SandboxQuota, SandboxSettings};

/// How many machines get each of the tags.
struct Fleet {
    tags: Vec<Tag>,
    operations: Vec<NewOperation>,
    calls: u64,
}

/// So many tags for a machine each, and so many for two, in turns.
fn fleet(alone: u32, pairs: u32) -> Fleet {
    let mut fleet = Fleet { tags: Vec::new(), operations: Vec::new(), calls: u64::from(alone + pairs) };
    let mut sizes: Vec<u32> = (0..alone).map(|_| 1).chain((0..pairs).map(|_| 2)).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut sizes);
    for (tag, size) in (0..).zip(sizes) {
        fleet.tags.push(Tag::new(&format!("tag {tag}")).expect("a tag"));
        for _ in 0..size {
            let number = u32::try_from(fleet.operations.len()).expect("few");
            fleet.operations.push(NewOperation {
                operation: OperationId(number),
                machine: machine(number),
                change: Change::Tag(TagAction::Add, TagNumber(tag)),
                swap: None,
                unlisted: false,
                before: Held::Unknown,
                settled: None,
            });
        }
    }
    fleet
}

/// What a run came to.
struct Outcome {
    progress: Progress,
    seconds: u64,
    /// Calls beyond the fewest, and those that were refused for quota.
    more_calls: u64,
    together: bool,
    state: (Store, AccountKey, Arc<InMemory>),
}

const QUOTA: &str = "100/1m,1500/1h";

async fn run(fleet: Fleet, scope: QuotaScope, settings: SandboxSettings) -> Outcome {
    let clock = clock();
    let store = Store::in_memory(clock.clone()).expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let quotas = [(100, Duration::from_mins(1)), (1500, Duration::from_hours(1))];
    let quotas = quotas.map(|(calls, window)| SandboxQuota { calls, window }).into();
    let latency = Duration::from_millis(20)..=Duration::from_millis(300);
    let service = Arc::new(InMemory::new(SandboxSettings { quotas, latency, any_machine: true, ..settings }));
    let run = begin(&store, account, fleet.tags, fleet.operations).await.expect("a run");
    let settings = DispatchSettings {
        gate: GateSettings { scope, ..gate(account, QUOTA, 16) },
        bulk: true,
        maximum_errors: MaximumErrors::Percent(50),
        tick: Duration::from_mins(1),
        seed: 1,
    };
    let (_keep, mut stop_requests) = mpsc::channel(1);
    let began = clock.boot_time();
    let transport = Arc::clone(&service);
    let (reason, progress) = dispatch(transport, &store, clock.clone(), run, settings, &mut Silent, &mut stop_requests)
        .await
        .expect("the engine works");
    assert!(matches!(reason, EndReason::Finished), "{reason:?}");
    let calls: u64 = progress.calls.values().sum();
    let more_calls = calls - fleet.calls - progress.throttled;
    let seconds = clock.boot_time().since(began).as_secs();
    let together = store.tag_calls_count_together(account).await.expect("an answer");
    Outcome { progress, seconds, more_calls, together, state: (store, account, service) }
}

fn apart() -> SandboxSettings {
    SandboxSettings { bulk_apart: true, ..SandboxSettings::default() }
}

fn calls(outcome: &Outcome, kind: Kind) -> u64 {
    let kind = match kind {
        Kind::Bulk => crate::api::CallKind::Bulk,
        _ => crate::api::CallKind::Tags,
    };
    outcome.progress.calls.get(&kind).copied().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn three_thousand_different_tags_take_half_the_time_where_bulk_calls_count_apart() {
    let outcome = run(fleet(3000, 0), QuotaScope::Auto, apart()).await;
    assert_eq!((outcome.progress.count(Status::Succeeded), outcome.progress.throttled), (3000, 0));
    assert_eq!(outcome.more_calls, 0);
    // 1,500 calls take 14 minutes, and 3,000 an hour more.
    assert!((840..966).contains(&outcome.seconds), "{} s", outcome.seconds);
    let (single, bulk) = (calls(&outcome, Kind::Tags), calls(&outcome, Kind::Bulk));
    assert!(single.abs_diff(bulk) <= 32, "{single} single calls and {bulk} in bulk");
    assert!(!outcome.together);
}

#[tokio::test(start_paused = true)]
async fn where_they_count_together_a_handful_of_refusals_show_it_and_the_app_remembers() {
    // A few fewer than two hours take, since what is refused counts as well.
    let outcome = run(fleet(2990, 0), QuotaScope::Auto, SandboxSettings::default()).await;
    assert_eq!((outcome.progress.count(Status::Succeeded), outcome.more_calls), (2990, 0));
    assert!((1..=5).contains(&outcome.progress.throttled), "{} refusals", outcome.progress.throttled);
    // The bound for as many calls in one bucket, and 15 percent.
    assert!((4440..5106).contains(&outcome.seconds), "{} s", outcome.seconds);
    assert!(outcome.together);
}

#[tokio::test(start_paused = true)]
async fn bulk_calls_relieve_single_ones_as_far_as_they_have_room_and_no_bulk_call_is_taken_apart() {
    // Tags for one machine, tags for two, and how many single calls there should be.
    for (alone, pairs, single) in [(300, 100, 200), (100, 300, 100), (0, 250, 0), (40, 30, 40)] {
        let outcome = run(fleet(alone, pairs), QuotaScope::Auto, apart()).await;
        assert_eq!((outcome.progress.throttled, outcome.more_calls), (0, 0), "{alone} and {pairs}");
        let made = calls(&outcome, Kind::Tags);
        assert!(made.abs_diff(single) <= 20, "{alone} and {pairs}: {made} single calls");
        let bound = 60 * (u64::from(alone + pairs) - single).max(single).saturating_sub(1).div_euclid(100);
        assert!((bound..bound + 75).contains(&outcome.seconds), "{alone} and {pairs}: {} s", outcome.seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_machine_fails_by_an_answer_to_it_alone_whichever_way_it_went_first() {
    let settings = SandboxSettings { dead: DeadMachines::Share(0.1), ..apart() };
    let outcome = run(fleet(300, 0), QuotaScope::Auto, settings).await;
    let [succeeded, failed] = [Status::Succeeded, Status::Failed].map(|status| outcome.progress.count(status));
    assert_eq!(succeeded + failed, 300);
    assert!((10..=60).contains(&failed), "{failed}");
    // Such a machine is asked for again, alone.
    assert!(calls(&outcome, Kind::Bulk) > 100 && outcome.more_calls <= 2 * failed, "{}", outcome.more_calls);
}

#[tokio::test(start_paused = true)]
async fn without_bulk_calls_there_is_nothing_side_by_side() {
    let settings = SandboxSettings { bulk_forbidden: true, ..apart() };
    let outcome = run(fleet(150, 0), QuotaScope::Auto, settings).await;
    assert_eq!((outcome.progress.count(Status::Succeeded), outcome.progress.throttled), (150, 0));
    assert!(outcome.more_calls <= 3, "{:?}", outcome.progress.calls);
}

#[tokio::test(start_paused = true)]
async fn the_usual_scope_counts_what_another_run_has_made_apart() {
    let outcome = run(fleet(150, 0), QuotaScope::Auto, apart()).await;
    let (store, account, _service) = outcome.state;
    let ends = async |buckets: &[Bucket]| store.latest_ends(account, buckets.to_vec(), 1000).await.expect("ends").len();
    assert_eq!(ends(QuotaScope::Api.together_with(Bucket::Tags)).await, 150);
    assert!((70..=80).contains(&ends(QuotaScope::Auto.together_with(Bucket::BulkTags)).await));
}
