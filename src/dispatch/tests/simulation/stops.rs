//! Runs that stop in the middle, or that go on: whose error stands where, what waits for what, and what goes last.

use super::*;
use crate::store::StoredOperation;

const SWAP: [Change<TagNumber>; 2] =
    [Change::Tag(TagAction::Remove, TagNumber(1)), Change::Tag(TagAction::Add, TagNumber(0))];

fn swaps(machines: u32) -> Vec<(MachineId, Change<TagNumber>)> {
    (0..machines).flat_map(|number| SWAP.map(|change| (machine(number), change))).collect()
}

#[tokio::test(start_paused = true)]
async fn who_was_in_a_call_that_another_machine_spoiled_bears_no_error_of_its() {
    let operations = (0..40).map(|number| (machine(number), Change::Tag(TagAction::Add, TagNumber(2)))).collect();
    let quota = "1/10m";
    // This seed's service names every bad machine.
    let simulation = Simulation::new(3, operations, quota, CALM, 50).await;
    simulation.service.kill(&machine(7));
    let mut settings = simulation.settings(3, quota);
    settings.gate.deadline = Some(simulation.clock.boot_time().plus(Duration::from_mins(1)));
    let (reason, _) = simulation.run(settings).await;
    assert!(matches!(reason, EndReason::Deadline), "{reason:?}");
    for (number, stored) in (0..).zip(simulation.stored().await) {
        assert_eq!(stored.state, OperationState::Pending, "machine {number}");
        let code = stored.answer.error_code.as_deref();
        let expected =
            if number == 7 { (Some(400), Some("InvalidInput")) } else { (None, Some("refused_for_another")) };
        assert_eq!((stored.answer.http_status, code), expected, "machine {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_was_in_a_call_that_is_refused_to_everybody_has_that_for_an_answer() {
    let operations = (0..40).map(|number| (machine(number), Change::Tag(TagAction::Add, TagNumber(2)))).collect();
    let simulation = Simulation::new(1, operations, "100/1s", REFUSING, 50).await;
    let (reason, progress) = simulation.run(simulation.settings(1, "100/1s")).await;
    assert!(matches!(reason, EndReason::Aborted(_)), "{reason:?}");
    let states = simulation.states().await;
    let refused = states.iter().filter(|state| **state == OperationState::Refused).count();
    assert!(refused > 1, "{states:?}");
    assert_eq!(progress.count(Status::Failed), refused as u64, "what is told goes by what is stored");
}

#[tokio::test(start_paused = true)]
async fn a_drain_while_the_last_add_waits_leaves_the_removes_to_whoever_goes_on() {
    let quota = "1/10m";
    let simulation = Simulation::new(1, swaps(2), quota, CALM, 50).await;
    let settings = DispatchSettings { bulk: false, ..simulation.settings(1, quota) };
    let (sender, mut stop_requests) = mpsc::channel(1);
    let clock = simulation.clock.clone();
    tokio::spawn(async move {
        sleep_until(clock.as_ref(), clock.boot_time().plus(Duration::from_mins(1))).await;
        let _gone = sender.send(StopRequest::Drain).await;
        std::future::pending::<()>().await;
    });
    let (transport, clock) = (Arc::clone(&simulation.service), simulation.clock.clone());
    let (reason, progress) =
        dispatch(transport, &simulation.store, clock, simulation.run, settings, &mut Silent, &mut stop_requests)
            .await
            .expect("the engine works");
    assert!(matches!(reason, EndReason::Interrupted), "{reason:?}");
    let states = simulation.states().await;
    let open = states.iter().filter(|state| **state == OperationState::Pending).count();
    assert_eq!(
        (open, progress.count(Status::NotAttempted), progress.count(Status::Succeeded)),
        (3, 0, 1),
        "{states:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_listed_by_now_gets_its_tag_before_it_loses_the_other() {
    for (remove_is_unlisted, add_is_unlisted) in [(true, false), (false, true)] {
        for bulk in [true, false] {
            let is_unlisted = |number: u32| if number.is_multiple_of(2) { remove_is_unlisted } else { add_is_unlisted };
            let simulation = Simulation::with_unlisted(1, swaps(12), "3/1s", CALM, 200, is_unlisted).await;
            let settings = DispatchSettings { bulk, ..simulation.settings(1, "3/1s") };
            let (reason, _) = simulation.run(settings).await;
            let case = format!("remove unlisted {remove_is_unlisted}, bulk {bulk}");
            assert!(matches!(reason, EndReason::Finished), "{case}: {reason:?}");
            let states = simulation.states().await;
            assert!(states.iter().all(|state| *state == OperationState::Succeeded), "{case}: {states:?}");
            let world = simulation.service.world.lock().expect("a world");
            assert_eq!(world.violations, Vec::<String>::new(), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_goes_last_when_a_run_is_gone_on_with() {
    let operations = (0..40).map(|number| (machine(number), Change::DeviceValue(DeviceValue::High))).collect();
    let quota = "10/10m";
    let simulation = Simulation::new(1, operations, quota, CALM, 50).await;
    simulation.service.script((0..40).filter(|number| number % 4 == 0).map(|number| Refusal::Fails.at(number)));
    let mut settings = simulation.settings(1, quota);
    settings.gate.deadline = Some(simulation.clock.boot_time().plus(Duration::from_mins(5)));
    let (reason, _) = simulation.run(settings).await;
    assert!(matches!(reason, EndReason::Deadline), "{reason:?}");
    let was_tried = |stored: &StoredOperation| stored.attempts > 0 && stored.state == OperationState::Pending;
    let tried: BTreeSet<MachineId> = (0..)
        .zip(simulation.stored().await)
        .filter_map(|(number, stored)| was_tried(&stored).then(|| machine(number)))
        .collect();
    assert!(!tried.is_empty());
    simulation.service.script([]);
    simulation.service.world.lock().expect("a world").order.clear();
    tokio::time::sleep(Duration::from_mins(20)).await;
    let (reason, _) = simulation.run(simulation.settings(1, quota)).await;
    assert!(matches!(reason, EndReason::Finished), "{reason:?}");
    let world = simulation.service.world.lock().expect("a world");
    let first_tried = world.order.iter().position(|machine| tried.contains(machine)).expect("they are sent");
    assert!(world.order[first_tried..].iter().all(|machine| tried.contains(machine)), "{:?}", world.order);
}
