//! Removes that wait for adds which were accepted without being shown.

use super::*;

/// A run over machines that each get one tag and lose another, and one more that only loses one; the adds are accepted
/// unseen, and machine 1 keeps none.
async fn accepted_unseen(machines: u32, deadline: Option<Duration>) -> (EndReason, Progress, Simulation) {
    let mut operations = vec![(machine(0), Change::Tag(TagAction::Remove, TagNumber(1)))];
    for number in 1..=machines {
        operations.push((machine(number), Change::Tag(TagAction::Remove, TagNumber(1))));
        operations.push((machine(number), Change::Tag(TagAction::Add, TagNumber(0))));
    }
    let simulation = Simulation::new(7, operations, "off", CALM, 20).await;
    let unseen = Mishap::hiding(200, r#"{"value": []}"#).on(&[Kind::Bulk]).saying(r#""Action":"Add""#);
    simulation.service.script([unseen]);
    let tenant = &simulation.service.tenant;
    tenant.change(&machine(1), |machine| machine.held_by_rule = true);
    // Whoever never had the other tag does not fall out of anything.
    tenant.change(&machine(0), |machine| machine.tags = vec!["wanted".to_owned()]);
    let mut settings = simulation.settings(7, "off");
    settings.gate.deadline = deadline.map(|deadline| simulation.clock.boot_time().plus(deadline));
    let (reason, progress) = simulation.run(settings).await;
    (reason, progress, simulation)
}

#[tokio::test(start_paused = true)]
async fn removes_go_once_reading_has_shown_the_adds_and_nobody_elses_wait_for_that() {
    // Read one by one, and with the list.
    for machines in [5, 60] {
        let (reason, progress, simulation) = accepted_unseen(machines, None).await;
        assert!(matches!(reason, EndReason::Finished), "{reason:?}");
        let states = simulation.states().await;
        assert_eq!(states[..3], [OperationState::Succeeded, OperationState::NotAttempted, OperationState::Unknown]);
        assert!(states[3..].iter().all(|state| *state == OperationState::Succeeded), "{states:?}");
        let world = simulation.service.world.lock().expect("a world");
        assert_eq!(world.violations, Vec::<String>::new());
        assert_eq!(world.reads_before_loss[&machine(0)], 0, "it waits for nothing");
        assert!((2..=machines).all(|number| world.reads_before_loss[&machine(number)] > 0));
        assert!(world.calls.values().all(|calls| *calls == 1), "{:?}", world.calls);
        let counts = [Status::Succeeded, Status::NotAttempted, Status::Unknown].map(|status| progress.count(status));
        assert_eq!(counts, [u64::from(2 * machines - 1), 1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_before_the_deadline_leaves_the_removes_out() {
    let (reason, _, simulation) = accepted_unseen(60, Some(Duration::from_mins(5))).await;
    assert!(matches!(reason, EndReason::Finished), "{reason:?}");
    let states = simulation.states().await;
    let of_each = [OperationState::NotAttempted, OperationState::Unknown];
    assert!(states[1..].chunks(2).all(|states| states == of_each), "{states:?}");
    assert_eq!(simulation.service.world.lock().expect("a world").violations, Vec::<String>::new());
}
