//! What stops one bucket does not stop the others.

use super::*;

/// So many values and as many machines with a tag of their own call, in an order of their own.
async fn both(values: u32, tags: u32, quota: &str) -> Simulation {
    let value = NewChange::DeviceValue(DeviceValue::High);
    let tag = NewChange::Tag(TagAction::Add, 2);
    let operations = (0..values).map(|number| (machine(number), value));
    let operations = operations.chain((0..tags).map(|number| (machine(number), tag)));
    Simulation::new(1, operations.collect(), quota, CALM, 50).await
}

fn succeeded(states: &[OperationState]) -> usize {
    states.iter().filter(|state| **state == OperationState::Succeeded).count()
}

#[tokio::test(start_paused = true)]
async fn a_full_bucket_with_the_deadline_beyond_it_stops_that_bucket_alone() {
    // Twenty values fill the window; ninety tags take three of them, one after the other.
    for (values, tags, is_value_full) in [(60, 15, true), (15, 60, false)] {
        let quota = "20/10m";
        let simulation = both(values, tags, quota).await;
        let mut settings = simulation.settings(1, quota);
        settings.bulk = false;
        // The full bucket's first calls leave at once, and the other's are slow.
        settings.gate.deadline = Some(simulation.clock.boot_time().plus(Duration::from_mins(8)));
        let (reason, progress) = simulation.run(settings).await;
        assert!(matches!(reason, EndReason::Deadline), "{reason:?}");
        let states = simulation.states().await;
        let (valued, tagged) = states.split_at(values as usize);
        let expected = if is_value_full { (20, 15) } else { (15, 20) };
        assert_eq!((succeeded(valued), succeeded(tagged)), expected);
        assert!(progress.elapsed < Duration::from_mins(8), "{:?}", progress.elapsed);
        let open = states.iter().filter(|state| **state == OperationState::Pending).count();
        assert_eq!(open, 40, "what is left is resumed");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_device_values_leaves_tags_alone() {
    let quota = "20/10m";
    let simulation = both(10, 100, quota).await;
    simulation.service.world.lock().expect("a world").values_fail_until = i64::MAX;
    let mut settings = simulation.settings(1, quota);
    settings.bulk = false;
    settings.gate.maximum_outage = Duration::from_mins(5);
    let (reason, progress) = simulation.run(settings).await;
    assert!(matches!(reason, EndReason::Outage { .. }), "{reason:?}");
    let states = simulation.states().await;
    let (valued, tagged) = states.split_at(10);
    assert_eq!((succeeded(valued), succeeded(tagged)), (0, 100));
    assert!(valued.iter().all(|state| *state == OperationState::Pending), "{valued:?}");
    assert!(progress.elapsed > Duration::from_mins(40), "tags took five windows: {:?}", progress.elapsed);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_next_attempt_lies_beyond_the_deadline_keeps_no_other_from_being_made() {
    let simulation = both(60, 0, "10/1m").await;
    simulation.service.world.lock().expect("a world").refuses.insert(machine(5), Refusal::Fails);
    let mut settings = simulation.settings(1, "10/1m");
    settings.gate.deadline = Some(simulation.clock.boot_time().plus(Duration::from_secs(330)));
    let (reason, _) = simulation.run(settings).await;
    assert!(matches!(reason, EndReason::Deadline), "{reason:?}");
    // Six windows of ten calls, of which some went to the bad one.
    let done = succeeded(&simulation.states().await);
    assert!(done >= 45, "{done}");
}
