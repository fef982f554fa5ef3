//! Outages of all lengths: what is pending is waited out, and nothing is held against a row.

use super::*;
use crate::dispatch::tests::fixtures::ORIGIN;

/// When an outage begins that comes in the middle of a run, in seconds.
const BEGIN: i64 = 3;

/// Forty machines, each with a value and a tag of its own call; at the usual pace that takes some ten seconds.
async fn caught_in(outages: &[Outage], maximum: Duration) -> (EndReason, Progress, Simulation) {
    let changes = |number| [Change::DeviceValue(DeviceValue::High), Change::Tag(TagAction::Add, TagNumber(number % 3))];
    let operations = (0..60).flat_map(|number| changes(number).map(|change| (machine(number), change))).collect();
    let quota = "100/1m,1500/1h";
    let simulation = Simulation::new(3, operations, quota, CALM, 100).await;
    simulation.service.world.lock().expect("a world").outages = outages.to_vec();
    let mut settings = simulation.settings(3, quota);
    settings.bulk = false;
    settings.gate.maximum_outage = maximum;
    let (reason, progress) = simulation.run(settings).await;
    (reason, progress, simulation)
}

fn spent_in_outage(progress: &Progress) -> Duration {
    progress.spent.iter().filter(|(part, _)| *part == Spent::Outage).map(|(_, time)| *time).sum()
}

const HOURS: fn(u64) -> Duration = Duration::from_hours;

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_and_costs_no_row() {
    for trouble in [Trouble::Unavailable, Trouble::Refused, Trouble::Reset, Trouble::Silent] {
        for length in [30, 600, 3600] {
            let outage = Outage { from: BEGIN, to: BEGIN + length, trouble };
            let (reason, progress, simulation) = caught_in(&[outage], HOURS(2)).await;
            let case = format!("{trouble:?} for {length} s");
            assert!(matches!(reason, EndReason::Finished), "{case}: {reason:?}");
            assert_eq!(progress.count(Status::Succeeded), 120, "{case}");
            let world = simulation.service.world.lock().expect("a world");
            assert_eq!(world.violations, Vec::<String>::new(), "{case}");
            // The service is back for a minute at most until that is noticed, or two where no answer comes in time.
            let length = Duration::from_secs(length.unsigned_abs());
            assert!(progress.elapsed < length + Duration::from_secs(130), "{case}: {:?}", progress.elapsed);
            if !matches!(trouble, Trouble::Silent) {
                assert!(spent_in_outage(&progress) > length / 2, "{case}: {:?}", progress.spent);
            }
            // Those that were on their way when it began, and two tries a minute in each of three buckets.
            let tries = 40 + length.as_secs() / 60 * 6;
            assert!((world.met_outage.len() as u64) < tries, "{case}: {} of {tries}", world.met_outage.len());
        }
    }
}

/// Once the service is back, those who waited for that keep to the pace like all others.
#[tokio::test(start_paused = true)]
async fn what_comes_after_an_outage_is_none_of_its_time() {
    for (quota, length) in [("20/1m,1500/1h", 20), ("20/1m,1500/1h", 60), ("6/6s,30/1m", 30), ("100/1m", 120)] {
        let operations = (0..120).map(|number| (machine(number), Change::DeviceValue(DeviceValue::High))).collect();
        let simulation = Simulation::new(5, operations, quota, CALM, 100).await;
        let outage = Outage { from: BEGIN, to: BEGIN + length, trouble: Trouble::Unavailable };
        simulation.service.world.lock().expect("a world").outages = vec![outage];
        let mut settings = simulation.settings(5, quota);
        settings.gate.concurrency = 16;
        let (reason, progress) = simulation.run(settings).await;
        assert!(matches!(reason, EndReason::Finished), "{quota} {length}: {reason:?}");
        let world = simulation.service.world.lock().expect("a world");
        let since = |arrival: &i64| arrival - ORIGIN - BEGIN * 1_000_000;
        let arrivals = world.arrivals.get(&Bucket::Value).expect("calls").iter().map(since);
        let back = arrivals.filter(|arrival| *arrival >= length * 1_000_000).min().expect("a call that was answered");
        let most = Duration::from_micros(back.unsigned_abs());
        assert!(spent_in_outage(&progress) <= most, "{quota} {length}: {most:?} {:?}", progress.spent);
        let parts: Duration = progress.spent.iter().map(|(_, time)| *time).sum();
        assert!(parts <= progress.elapsed, "{quota} {length}: {:?} of {:?}", progress.spent, progress.elapsed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_lasts_too_long_ends_the_run_and_leaves_what_is_pending() {
    for trouble in [Trouble::Unavailable, Trouble::Refused, Trouble::Reset] {
        let outage = Outage { from: BEGIN, to: BEGIN + 10_800, trouble };
        let (reason, progress, simulation) = caught_in(&[outage], HOURS(2)).await;
        assert!(matches!(reason, EndReason::Outage { .. }), "{trouble:?}: {reason:?}");
        let (least, most) = (HOURS(2), HOURS(2) + Duration::from_secs(70));
        assert!(progress.elapsed >= least && progress.elapsed < most, "{trouble:?}: {:?}", progress.elapsed);
        let states = simulation.states().await;
        let settled = |state: &&OperationState| **state == OperationState::Succeeded;
        let succeeded = states.iter().filter(settled).count() as u64;
        assert_eq!(succeeded, progress.count(Status::Succeeded), "{trouble:?}");
        assert!(succeeded > 0 && succeeded < 120, "{trouble:?}: {succeeded}");
        let open = states.iter().filter(|state| **state == OperationState::Pending).count() as u64;
        assert_eq!(open, 120 - succeeded, "{trouble:?}: no row is burnt");
    }
}

#[tokio::test(start_paused = true)]
async fn outages_that_come_again_and_again_are_each_waited_out() {
    let outages: Vec<Outage> = (0..30)
        .map(|number| Outage { from: number * 100 + 2, to: number * 100 + 97, trouble: Trouble::Unavailable })
        .collect();
    let (reason, progress, _) = caught_in(&outages, HOURS(2)).await;
    assert!(matches!(reason, EndReason::Finished), "{reason:?}");
    assert_eq!(progress.count(Status::Succeeded), 120);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_may_not_wait_stops_as_soon_as_it_is_sure() {
    let outage = Outage { from: BEGIN, to: BEGIN + 600, trouble: Trouble::Unavailable };
    let (reason, progress, _) = caught_in(&[outage], Duration::ZERO).await;
    assert!(matches!(reason, EndReason::Outage { .. }), "{reason:?}");
    assert!(progress.elapsed < Duration::from_secs(30), "{:?}", progress.elapsed);
}
