//! Machines that are refused after a call that may have done something: found like any bad id, and not said to have failed.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_search_after_an_outage_takes_no_more_calls_than_singles_would() {
    const MACHINES: u32 = 500;
    const DEAD_EVERY: u32 = 4;
    // A seed whose service names nobody.
    let seed = 2;
    let operations = (0..MACHINES).map(|number| (machine(number), Change::Tag(TagAction::Add, TagNumber(2)))).collect();
    let simulation = Simulation::new(seed, operations, "off", CALM, 20).await;
    {
        (0..MACHINES)
            .filter(|number| number % DEAD_EVERY == 0)
            .for_each(|number| simulation.service.kill(&machine(number)));
        let mut world = simulation.service.world.lock().expect("a world");
        world.outages.push(Outage { from: 0, to: 2, trouble: Trouble::Unavailable });
    }
    let (reason, progress) = simulation.run(simulation.settings(seed, "off")).await;
    assert!(matches!(reason, EndReason::Finished), "{reason:?}");
    let dead = u64::from(MACHINES / DEAD_EVERY);
    assert_eq!(progress.count(Status::Succeeded), u64::from(MACHINES) - dead);
    assert_eq!(progress.count(Status::Unknown), dead, "the first call, which held them all, may have done it");
    let is_over =
        |stored: &StoredOperation| stored.state == OperationState::Failed && stored.status() == Status::Unknown;
    let over = simulation.stored().await.iter().filter(|stored| is_over(stored)).count();
    assert_eq!(over as u64, dead, "there is nothing more to ask for");
    // A dead machine takes three calls, since a 404 is believed the third time; and the outage took some.
    let calls: u64 = [crate::api::CallKind::Bulk, crate::api::CallKind::Tags]
        .iter()
        .filter_map(|kind| progress.calls.get(kind))
        .sum();
    let singles = u64::from(MACHINES) + 2 * dead;
    assert!(calls <= singles + 10, "{calls} calls, {singles} singles");
}
