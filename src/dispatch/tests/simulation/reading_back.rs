//! Writes that take effect and are never answered: read back at the end of the run.

use super::*;
use crate::api::CallKind;
use crate::sandbox::Fault;

struct Unanswered {
    reason: EndReason,
    progress: Progress,
    states: Vec<OperationState>,
    simulation: Simulation,
}

impl Unanswered {
    /// A run over so many machines, each of which is to get a value; all answers to writes are cut off.
    async fn run(machines: u32, forgets_values: bool, deadline: Option<Duration>) -> Self {
        let value = Change::DeviceValue(DeviceValue::High);
        let operations = (0..machines).map(|number| (machine(number), value)).collect();
        let simulation = Simulation::new(5, operations, "off", CALM, 20).await;
        simulation.service.script([Mishap::of(Fault::Truncated).on(&WRITES)]);
        for number in 0..machines {
            simulation.service.tenant.change(&machine(number), |machine| machine.held_by_rule = forgets_values);
        }
        let mut settings = simulation.settings(5, "off");
        settings.gate.deadline = deadline.map(|deadline| simulation.clock.boot_time().plus(deadline));
        let (reason, progress) = simulation.run(settings).await;
        let states = simulation.states().await;
        Self { reason, progress, states, simulation }
    }

    fn calls(&self, kind: CallKind) -> u64 {
        self.progress.calls.get(&kind).copied().unwrap_or(0)
    }

    /// Every machine ended so, after as many attempts as are made, and so many reads of a machine and of the list.
    #[track_caller]
    fn ended(&self, state: OperationState, status: Status, gets: u64, lists: u64) {
        assert!(matches!(self.reason, EndReason::Finished), "{:?}", self.reason);
        assert!(self.states.iter().all(|one| *one == state), "{:?}", self.states);
        let machines = self.states.len() as u64;
        assert_eq!((self.progress.count(status), self.progress.settled()), (machines, machines));
        let calls = [CallKind::Value, CallKind::Get, CallKind::List].map(|kind| self.calls(kind));
        assert_eq!(calls, [machines * u64::from(crate::call::MAXIMUM_ATTEMPTS), gets, lists]);
        assert_eq!(self.simulation.service.world.lock().expect("a world").violations, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_machines_are_read_one_by_one() {
    let outcome = Unanswered::run(50, false, None).await;
    outcome.ended(OperationState::Succeeded, Status::Succeeded, 50, 0);
    assert!(outcome.progress.spent.iter().all(|(part, _)| *part != Spent::ListLag), "{:?}", outcome.progress.spent);
}

#[tokio::test(start_paused = true)]
async fn many_machines_are_read_with_the_list_once_it_shows_the_latest_writes() {
    let outcome = Unanswered::run(51, false, None).await;
    outcome.ended(OperationState::Succeeded, Status::Succeeded, 0, 1);
    let waited = outcome.progress.spent.iter().find(|(part, _)| *part == Spent::ListLag).map(|(_, time)| *time);
    assert!(waited.is_some_and(|time| time > Duration::from_mins(14)), "{:?}", outcome.progress.spent);
}

#[tokio::test(start_paused = true)]
async fn what_no_read_shows_stays_unknown_and_has_not_failed() {
    Unanswered::run(3, true, None).await.ended(OperationState::Unknown, Status::Unknown, 3, 0);
    Unanswered::run(51, true, None).await.ended(OperationState::Unknown, Status::Unknown, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_list_shows_anything_leaves_it_unknown_without_a_wait() {
    let deadline = Duration::from_mins(15);
    let outcome = Unanswered::run(51, false, Some(deadline)).await;
    outcome.ended(OperationState::Unknown, Status::Unknown, 0, 0);
    assert!(outcome.progress.elapsed < deadline, "{:?}", outcome.progress.elapsed);
}
