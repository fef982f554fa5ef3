//! Machines that could spoil the others: the service fails at them, or does not allow changes on them. And what looks
//! like that and is an outage, or an app without permission.

use super::*;
use crate::api::CallKind;

/// What the service is like.
#[derive(Clone, Copy)]
struct Case {
    bulk: bool,
    values: bool,
    machines: u32,
    seed: u64,
}

impl Case {
    fn every(machines: u32) -> impl Iterator<Item = Self> {
        let ways = [(false, true), (false, false), (true, false)];
        ways.into_iter().flat_map(move |(bulk, values)| (0..8).map(move |seed| Self { bulk, values, machines, seed }))
    }

    /// The same with as many machines as a bulk call takes, and a quarter of them where each takes a call of its own.
    fn every_large() -> impl Iterator<Item = Self> {
        Self::every(400).map(|case| if case.bulk { case } else { Self { machines: 100, ..case } })
    }

    async fn simulation(self) -> Simulation {
        let change = if self.values {
            Change::DeviceValue(DeviceValue::High)
        } else {
            Change::Tag(TagAction::Add, TagNumber(2))
        };
        let operations = (0..self.machines).map(|number| (machine(number), change)).collect();
        // Seeds that are no multiples of five: the service allows 500 machines in a call.
        let simulation = Simulation::new(self.seed * 5 + 1, operations, "off", CALM, 100).await;
        simulation.service.tenant.adjust(|settings| settings.dead_naming = DeadNaming::Absent);
        simulation
    }

    /// A run over machines at which the service does so.
    async fn run(self, refuses: impl IntoIterator<Item = (u32, Refusal)>) -> Spoiled {
        let simulation = self.simulation().await;
        simulation.service.script(refuses.into_iter().map(|(number, refusal)| refusal.at(number)));
        self.go_on(simulation).await
    }

    async fn go_on(self, simulation: Simulation) -> Spoiled {
        let mut settings = simulation.settings(self.seed, "off");
        settings.bulk = self.bulk;
        let (reason, progress) = simulation.run(settings).await;
        let states = simulation.states().await;
        let name = format!("bulk {}, values {}, seed {}", self.bulk, self.values, self.seed);
        Spoiled { name, reason, progress, states, simulation }
    }
}

struct Spoiled {
    name: String,
    reason: EndReason,
    progress: Progress,
    states: Vec<OperationState>,
    simulation: Simulation,
}

impl Spoiled {
    fn calls(&self) -> u64 {
        self.progress.calls.values().sum()
    }

    /// These machines ended so, and all others were changed.
    #[track_caller]
    fn spoiled_only(&self, bad: &[u32], expected: &[OperationState]) {
        assert!(matches!(self.reason, EndReason::Finished), "{}: {:?}", self.name, self.reason);
        for (number, state) in (0..).zip(&self.states) {
            let is_right =
                if bad.contains(&number) { expected.contains(state) } else { *state == OperationState::Succeeded };
            assert!(is_right, "{}: machine {number} ended {state:?}", self.name);
        }
        let world = self.simulation.service.world.lock().expect("a world");
        assert_eq!(world.violations, Vec::<String>::new(), "{}", self.name);
    }
}

/// How an operation may end at which the service fails each time: nobody knows if that took effect.
const GIVEN_UP: [OperationState; 2] = [OperationState::Unknown, OperationState::Failed];

#[tokio::test(start_paused = true)]
async fn one_machine_at_which_the_service_fails_does_not_keep_the_others_from_being_changed() {
    for case in Case::every_large().filter(|case| case.seed < 4) {
        let bad = u32::try_from(case.seed * 57).expect("small") % case.machines;
        let spoiled = case.run([(bad, Refusal::Fails)]).await;
        spoiled.spoiled_only(&[bad], &GIVEN_UP);
        assert!(spoiled.progress.elapsed < Duration::from_mins(10), "{}: {:?}", spoiled.name, spoiled.progress.elapsed);
        if case.bulk {
            // Nine halvings, two failed calls for each at most, and ten attempts alone.
            assert!(spoiled.calls() <= 3 + 9 * 2 + 10 + 12, "{}: {} calls", spoiled.name, spoiled.calls());
        }
    }
}

/// Those that fail stand in line until somebody is answered.
#[tokio::test(start_paused = true)]
async fn where_many_in_line_are_machines_at_which_the_service_fails_others_show_that_it_is_well() {
    for case in Case::every(100).filter(|case| case.seed < 3) {
        let bad: Vec<u32> = (0..30).collect();
        let spoiled = case.run(bad.iter().map(|number| (*number, Refusal::Fails))).await;
        spoiled.spoiled_only(&bad, &GIVEN_UP);
        assert!(spoiled.progress.elapsed < Duration::from_hours(1), "{}: {:?}", spoiled.name, spoiled.progress.elapsed);
    }
}

#[tokio::test(start_paused = true)]
async fn several_machines_at_which_the_service_fails_spoil_only_themselves_wherever_they_stand() {
    for case in Case::every(60).filter(|case| case.seed < 3) {
        for bad in [vec![0, 1, 2, 3], vec![7, 23, 42], (0..20).collect(), vec![56, 57, 58, 59]] {
            let spoiled = case.run(bad.iter().map(|number| (*number, Refusal::Fails))).await;
            spoiled.spoiled_only(&bad, &GIVEN_UP);
            assert!(
                spoiled.progress.elapsed < Duration::from_mins(30),
                "{}: {:?}",
                spoiled.name,
                spoiled.progress.elapsed
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_but_machines_at_which_the_service_fails_they_are_given_up_and_no_outage() {
    for case in Case::every(12) {
        let everybody: Vec<u32> = (0..12).collect();
        let spoiled = case.run(everybody.iter().map(|number| (*number, Refusal::Fails))).await;
        spoiled.spoiled_only(&everybody, &GIVEN_UP);
        assert!(spoiled.progress.elapsed < Duration::from_mins(30), "{}: {:?}", spoiled.name, spoiled.progress.elapsed);
    }
}

#[tokio::test(start_paused = true)]
async fn six_machines_that_may_not_be_changed_fail_and_the_others_are_done() {
    for case in Case::every(60) {
        for (bad, refusal) in [
            ((0..6).collect::<Vec<_>>(), Refusal::Disallowed),
            (vec![3, 18, 19, 33, 40, 59], Refusal::Disallowed),
            ((0..6).collect(), Refusal::Forbidden),
            (vec![0, 30, 59], Refusal::Forbidden),
        ] {
            let spoiled = case.run(bad.iter().map(|number| (*number, refusal))).await;
            spoiled.spoiled_only(&bad, &[OperationState::Failed]);
            let spoiled_calls = spoiled.calls();
            assert!(spoiled_calls <= 60 + 14, "{}: {spoiled_calls} calls", spoiled.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bulk_calls_that_are_allowed_go_on_being_made_when_one_machine_is_out_of_bounds() {
    for seed in 0..20 {
        let case = Case { bulk: true, values: false, machines: 400, seed };
        let bad = u32::try_from(seed * 19).expect("small");
        let spoiled = case.run([(bad, Refusal::Forbidden)]).await;
        spoiled.spoiled_only(&[bad], &[OperationState::Failed]);
        assert!(spoiled.calls() <= 30, "{}: {} calls", spoiled.name, spoiled.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_without_permission_is_found_out_in_a_few_calls() {
    // A service may look for a machine before it looks at who is asking.
    for gone in [&[][..], &[2], &[0, 66, 133, 199]] {
        for case in Case::every(200) {
            let refusals = gone.iter().map(|number| (*number, Refusal::Gone));
            let spoiled = case.run(refusals.chain((0..200).map(|number| (number, Refusal::Forbidden)))).await;
            match &spoiled.reason {
                EndReason::Forbidden { message } => {
                    assert_eq!(message.as_deref(), Some("roles are missing"), "{} {gone:?}", spoiled.name);
                }
                other => panic!("{} {gone:?}: {other:?}", spoiled.name),
            }
            // One more may have read the list.
            assert!(spoiled.calls() <= 11, "{} {gone:?}: {} calls", spoiled.name, spoiled.calls());
            let is_open = |(number, state): (u32, &OperationState)| {
                matches!(state, OperationState::Pending | OperationState::Refused) || gone.contains(&number)
            };
            assert!((0..).zip(&spoiled.states).all(is_open), "{}: all are sent when the app may", spoiled.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_may_not_be_changed_among_others_that_are_gone_is_no_app_without_permission() {
    for case in Case::every(12) {
        let refusal = |number| if number == 7 { Refusal::Forbidden } else { Refusal::Gone };
        let spoiled = case.run((0..12).map(|number| (number, refusal(number)))).await;
        let everybody: Vec<u32> = (0..12).collect();
        spoiled.spoiled_only(&everybody, &[OperationState::Failed]);
    }
}

#[tokio::test(start_paused = true)]
async fn where_writes_alone_are_in_trouble_that_is_an_outage_and_costs_no_row() {
    for case in Case::every_large().filter(|case| case.seed < 3) {
        let simulation = case.simulation().await;
        let hour = Duration::ZERO..Duration::from_hours(1);
        simulation.service.script([Mishap::answering(503, "down").on(&WRITES).during(hour)]);
        let spoiled = case.go_on(simulation).await;
        spoiled.spoiled_only(&[], &[]);
        let (elapsed, calls) = (spoiled.progress.elapsed, spoiled.calls());
        assert!(elapsed < Duration::from_mins(75), "{}: {elapsed:?}", spoiled.name);
        // Of the tries of an hour, one in three makes way for another machine, and that one is sent alone.
        let needed = if case.bulk { 1 + 20 } else { u64::from(case.machines) };
        assert!(calls < needed + 240, "{}: {calls} calls", spoiled.name);
    }
}

#[tokio::test(start_paused = true)]
async fn where_single_calls_are_put_off_they_have_no_more_attempts_than_others() {
    let case = Case { bulk: false, values: true, machines: 5, seed: 1 };
    let spoiled = case.run([(2, Refusal::Fails)]).await;
    spoiled.spoiled_only(&[2], &GIVEN_UP);
    let value_calls = spoiled.progress.calls[&CallKind::Value];
    assert_eq!(value_calls, 4 + u64::from(crate::call::MAXIMUM_ATTEMPTS));
}

#[tokio::test(start_paused = true)]
async fn the_first_single_calls_are_about_machines_from_all_over_the_input() {
    let case = Case { bulk: false, values: true, machines: 4000, seed: 1 };
    let simulation = case.simulation().await;
    let mut settings = simulation.settings(case.seed, "off");
    settings.gate.deadline = Some(simulation.clock.boot_time().plus(Duration::from_secs(1)));
    simulation.run(settings).await;
    let world = simulation.service.world.lock().expect("a world");
    let thousands: BTreeSet<u32> = world.order.iter().take(8).map(|machine| machine_number(machine) / 1000).collect();
    assert_eq!(thousands, BTreeSet::from([0, 1, 2, 3]), "{:?}", world.order.get(..8));
}
