//! What stops one bucket does not stop the others.

use super::*;

/// So many values and as many machines with a tag of their own call, in an order of their own.
async fn both(values: u32, tags: u32, quota: &str) -> Simulation {
    let value = Change::DeviceValue(DeviceValue::High);
    let tag = Change::Tag(TagAction::Add, TagNumber(2));
    let operations = (0..values).map(|number| (machine(number), value));
    let operations = operations.chain((0..tags).map(|number| (machine(number), tag)));
    Simulation::new(1, operations.collect(), quota, CALM, 50).await
}

/// Every write of a bucket fails.
fn down(bucket: Bucket) -> Mishap {
    let kinds = if bucket == Bucket::Value { &[Kind::Value][..] } else { &[Kind::Bulk, Kind::Tags] };
    Mishap::answering(503, "down").on(kinds)
}

fn succeeded(states: &[OperationState]) -> usize {
    states.iter().filter(|state| **state == OperationState::Succeeded).count()
}

#[tokio::test(start_paused = true)]
async fn a_full_bucket_with_the_deadline_beyond_it_stops_that_bucket_alone() {
    for (full, other) in [(Bucket::Value, Bucket::Tags), (Bucket::Tags, Bucket::Value)] {
        let count = |bucket| if bucket == full { 60 } else { 5 };
        let (values, quota) = (count(Bucket::Value), "20/10m");
        let simulation = both(values, count(Bucket::Tags), quota).await;
        // When the one is full, the other is still waiting for the service.
        simulation.service.script([down(other).during(Duration::ZERO..Duration::from_mins(2))]);
        let mut settings = simulation.settings(1, quota);
        settings.bulk = false;
        settings.gate.deadline = Some(simulation.clock.boot_time().plus(Duration::from_mins(8)));
        let (reason, progress) = simulation.run(settings).await;
        assert!(matches!(reason, EndReason::Deadline), "{reason:?}");
        let states = simulation.states().await;
        let (of_values, of_tags) = states.split_at(values as usize);
        let expected = if full == Bucket::Value { (20, 5) } else { (5, 20) };
        assert_eq!((succeeded(of_values), succeeded(of_tags)), expected);
        assert!(progress.elapsed < Duration::from_mins(8), "{:?}", progress.elapsed);
        let open = states.iter().filter(|state| **state == OperationState::Pending).count();
        assert_eq!(open, 40, "what is left is resumed");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_device_values_leaves_tags_alone() {
    let quota = "20/10m";
    let simulation = both(10, 100, quota).await;
    simulation.service.script([down(Bucket::Value)]);
    let mut settings = simulation.settings(1, quota);
    settings.bulk = false;
    settings.gate.maximum_outage = Duration::from_mins(5);
    let (reason, progress) = simulation.run(settings).await;
    assert!(matches!(reason, EndReason::Outage { .. }), "{reason:?}");
    let states = simulation.states().await;
    let (of_values, of_tags) = states.split_at(10);
    assert_eq!((succeeded(of_values), succeeded(of_tags)), (0, 100));
    assert!(of_values.iter().all(|state| *state == OperationState::Pending), "{of_values:?}");
    assert!(progress.elapsed > Duration::from_mins(40), "tags took five windows: {:?}", progress.elapsed);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_next_attempt_lies_beyond_the_deadline_keeps_no_other_from_being_made() {
    let deadline = Duration::from_secs(3);
    let mut longest = Duration::ZERO;
    for seed in 0..4 {
        let simulation = both(1500, 0, "off").await;
        let bad = (0..1500).filter(|number| number % 8 == 0).map(|number| Refusal::Fails.at(number));
        simulation.service.script(bad);
        let mut settings = simulation.settings(seed, "off");
        settings.gate.deadline = Some(simulation.clock.boot_time().plus(deadline));
        let (reason, progress) = simulation.run(settings).await;
        assert!(matches!(reason, EndReason::Deadline), "{reason:?}");
        longest = longest.max(progress.elapsed);
    }
    // In the last second many calls fail whose next attempts would come too late. A run may be through with the others
    // earlier, but hardly all four.
    assert!(longest >= deadline.saturating_sub(Duration::from_millis(100)), "{longest:?}");
}
