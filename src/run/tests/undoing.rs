//! Taking back: nobody is at the run, what it left open counts, and what others made since stays.

use super::*;
use crate::api::{Answer, Response};
use crate::model::DeviceValue;
use crate::store::OperationState;

#[tokio::test(start_paused = true)]
async fn a_run_that_a_living_process_is_at_is_not_undone() {
    let world = World::of(20);
    let slow = Invocation { quota: "2/1m", ..Invocation::default() };
    let applying = async { world.apply(&adding("A", 20), &slow).await.exits(ExitStatus::Done) };
    let undoing = async {
        tokio::time::sleep(Duration::from_secs(90)).await;
        let runs = world.store().await.runs().await.expect("runs");
        let run = runs[0].run_id.clone();
        world.undo(&run, &Invocation::default()).await.exits(ExitStatus::AnotherRun).says("is running");
    };
    tokio::join!(applying, undoing);
    assert_eq!(world.service.tagged("A"), 20);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_had_finished_still_has_if_whoever_wants_to_take_it_back_dies() {
    let world = World::of(12);
    // The first row fails, and a run that was left before its end would ask for it again.
    let run = world.apply(&(row(99, "A", "Add", "") + &adding("A", 12)), &Invocation::default()).await;
    let run = run.exits(ExitStatus::RowsFailed).run_id();
    let done = world.service.writes().len();
    let asked = Some(Duration::from_secs(30));
    for dies_after in [Duration::from_millis(50), Duration::from_secs(10)] {
        let dying = Invocation { answered_after: asked, dies_after: Some(dies_after), ..Invocation::default() };
        assert!(world.undo_or_die(&run, &dying).await.is_none());
        let finished = "is already finished; nothing is left";
        // It ends as it had ended.
        world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::RowsFailed).says(finished);
    }
    assert_eq!(world.service.writes().len(), done);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_run_that_is_taken_back_meanwhile_finds_it_at_its_end() {
    let world = World::of(12);
    // The first row fails, and would be asked for again.
    let rows = row(99, "A", "Add", "") + &adding("A", 12);
    let left =
        Invocation { interrupted_after: Some(Duration::from_millis(600)), concurrency: 1, ..Invocation::default() };
    let run = world.apply(&rows, &left).await.exits(ExitStatus::StoppedEarly).run_id();
    let done = world.service.writes().len();
    let asked = Invocation { answered_after: Some(Duration::from_secs(30)), ..Invocation::default() };
    let waiting = Invocation { lock_wait: Some(Duration::from_hours(1)), ..Invocation::default() };
    let undone = async { world.undo(&run, &asked).await.exits(ExitStatus::Done) };
    let resumed = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.resume(Some(&run), &waiting).await.exits(ExitStatus::Done).says("is already finished; nothing is left")
    };
    tokio::join!(undone, resumed);
    assert_eq!((world.service.tagged("A"), world.service.writes().len()), (0, 2 * done));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_waits_for_a_run_which_is_taken_back_meanwhile_begins_a_new_one() {
    let world = World::of(12);
    let left =
        Invocation { interrupted_after: Some(Duration::from_millis(600)), concurrency: 1, ..Invocation::default() };
    let run = world.apply(&adding("A", 12), &left).await.exits(ExitStatus::StoppedEarly).run_id();
    let asked = Invocation { answered_after: Some(Duration::from_secs(30)), ..Invocation::default() };
    let waiting = Invocation { lock_wait: Some(Duration::from_hours(1)), ..Invocation::default() };
    let undone = async { world.undo(&run, &asked).await.exits(ExitStatus::Done) };
    let applied = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.apply(&adding("A", 12), &waiting).await.exits(ExitStatus::Done)
    };
    let (undone, applied) = tokio::join!(undone, applied);
    assert!(![undone.run_id(), run].contains(&applied.run_id()), "{}", applied.data);
    assert_eq!((world.service.tagged("A"), applied.statuses()), (12, [("succeeded".to_owned(), 12)].into()));
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_when_a_process_died_is_taken_back_if_it_was_done() {
    for dies_after in [150, 260, 310, 360, 410] {
        let world = World::of(20);
        let dying = Invocation { dies_after: Some(Duration::from_millis(dies_after)), ..Invocation::default() };
        assert!(world.apply_or_die(&adding("A", 20), &dying).await.is_none());
        let tagged = world.service.tagged("A");
        let store = world.store().await;
        let run = store.runs().await.expect("runs")[0].run_id.clone();
        drop(store);
        world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(world.service.tagged("A"), 0, "{tagged} had it, {dies_after}");
        // Nobody does any of it again.
        world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done).says("There is no unfinished run");
        assert_eq!(world.service.tagged("A"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_undo_leaves_the_run_as_it_was() {
    let world = World::of(20);
    let how = Invocation { interrupted_after: Some(Duration::from_millis(500)), ..Invocation::default() };
    let run = world.apply(&adding("A", 20), &how).await.exits(ExitStatus::StoppedEarly).run_id();
    let careful = Invocation { max_changes: Some(1), ..Invocation::default() };
    world.undo(&run, &careful).await.exits(ExitStatus::InputRefused);
    let said = world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!((said.run_id(), world.service.tagged("A")), (run, 20));
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_gone_on_with_decides_again() {
    let world = World::of(20);
    let rows: String = (1..=20).map(|machine| row(machine, "", "Set", "High")).collect();
    let run = world.apply(&rows, &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let how =
        Invocation { interrupted_after: Some(Duration::from_millis(900)), concurrency: 1, ..Invocation::default() };
    let undo = world.undo(&run, &how).await.exits(ExitStatus::StoppedEarly).run_id();
    assert_ne!(undo, run);
    tokio::time::sleep(Duration::from_hours(1)).await;
    world.service.change(19, |machine| machine.value = DeviceValue::Low);
    world.service.change(20, |machine| machine.value = DeviceValue::Normal);
    let said = world.resume(Some(&undo), &Invocation::default()).await.exits(ExitStatus::Done);
    let values: Vec<DeviceValue> = (1..=20).map(|machine| world.service.machine(machine).value).collect();
    assert_eq!(values.iter().filter(|value| **value == DeviceValue::Normal).count(), 19, "{values:?}");
    assert_eq!(values[18], DeviceValue::Low, "what somebody made since stays");
    let rows = said.rows();
    let fate = |machine: u32| {
        let row = rows.iter().find(|row| row["machineId"] == id(machine).to_string()).expect("a row");
        [row["status"].clone(), row["error_code"].clone()]
    };
    assert_eq!(fate(19), ["not_attempted", "changed_since"]);
    assert_eq!(fate(20), ["unchanged", ""]);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_gone_on_with_at_once_leaves_what_somebody_made_meanwhile() {
    let world = World::of(20);
    let rows: String = (1..=20).map(|machine| row(machine, "", "Set", "High")).collect();
    let run = world.apply(&rows, &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    let how =
        Invocation { interrupted_after: Some(Duration::from_millis(900)), concurrency: 1, ..Invocation::default() };
    let undo = world.undo(&run, &how).await.exits(ExitStatus::StoppedEarly).run_id();
    let is_left = |machine: &u32| world.service.machine(*machine).value == DeviceValue::High;
    let theirs = (1..=20).find(is_left).expect("a machine that is not taken back yet");
    world.service.change(theirs, |machine| machine.value = DeviceValue::Low);
    let said = world.resume(Some(&undo), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(world.service.machine(theirs).value, DeviceValue::Low);
    let rows = said.rows();
    let row = rows.iter().find(|row| row["machineId"] == id(theirs).to_string()).expect("a row");
    assert_eq!(["status", "error_code"].map(|name| row[name].as_str()), ["not_attempted", "changed_since"]);
    let line = said.data.lines().find(|line| line.starts_with(&id(theirs).to_string())).expect("a line");
    assert!(line.contains(",Low,"), "what was found: {line}");
    assert_eq!(said.statuses()["succeeded"], 19);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_how_to_take_back_stands_in_the_results() {
    let world = World::of(2);
    world.service.list(2, false);
    let run = world.apply("#1,,Set,High\n#2,,Set,High\n", &Invocation::default()).await.exits(ExitStatus::Done);
    let said = world.undo(&run.run_id(), &Invocation::default()).await.exits(ExitStatus::Done);
    let fates: Vec<_> = said.rows().iter().map(|row| [row["status"].clone(), row["error_code"].clone()]).collect();
    assert_eq!(fates, [["succeeded", ""], ["not_attempted", "unknown_before"]], "{}", said.data);
    let values = [1, 2].map(|machine| world.service.machine(machine).value);
    assert_eq!(values, [DeviceValue::Normal, DeviceValue::High]);
    said.says("Left alone: 1 row, since what was there before is not known (unknown_before)");
}

#[tokio::test(start_paused = true)]
async fn each_tag_is_for_itself() {
    let world = World::of(2);
    for machine in [1, 2] {
        world.service.change(machine, |machine| machine.tag("B"));
    }
    let run = world.apply("#1,A,Add,\n#1,B,Remove,\n#2,A,Add,\n#2,B,Remove,\n", &Invocation::default()).await;
    let run = run.exits(ExitStatus::Done).run_id();
    tokio::time::sleep(Duration::from_hours(1)).await;
    world.service.change(1, |machine| machine.tag("B"));
    world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
    for machine in [1, 2] {
        assert_eq!(world.service.machine(machine).tags.into_iter().collect::<Vec<_>>(), ["B"], "{machine}");
    }
}

/// Runs that write to one slot after the other: what the first finds, and what each asks for.
const CHAIN: [&str; 3] = ["#1,T,Add,\n#1,,Set,High\n", "#1,T,Remove,\n#1,,Set,Low\n", "#1,T,Add,\n#1,,Set,High\n"];

impl World {
    /// Applies these rows one after the other; gives the names of the runs.
    async fn chain<const RUNS: usize>(&self, rows: [&str; RUNS]) -> [String; RUNS] {
        let mut runs = [const { String::new() }; RUNS];
        for (run, rows) in runs.iter_mut().zip(rows) {
            *run = self.apply(rows, &Invocation::default()).await.exits(ExitStatus::Done).run_id();
        }
        runs
    }

    /// Takes a run back; gives the undo's name and what it says of each row.
    async fn take_back(&self, run: &str) -> (String, Vec<String>) {
        let said = self.undo(run, &Invocation::default()).await.exits(ExitStatus::Done);
        let fate = |row: &BTreeMap<String, String>| format!("{} {}", row["status"], row["error_code"]);
        (said.run_id(), said.rows().iter().map(|row| fate(row).trim().to_owned()).collect())
    }

    /// The tag and the value of the first machine.
    fn first(&self) -> (bool, DeviceValue) {
        let machine = self.service.machine(1);
        (machine.tags.contains("T"), machine.value)
    }
}

#[tokio::test(start_paused = true)]
async fn runs_on_one_slot_are_taken_back_one_after_the_other() {
    use DeviceValue::{High, Low, Normal};
    for pause in [Duration::ZERO, Duration::from_hours(1)] {
        let world = World::of(1);
        let [first, second, third] = world.chain(CHAIN).await;
        for (run, expected) in [(third, (false, Low)), (second, (true, High)), (first, (false, Normal))] {
            tokio::time::sleep(pause).await;
            assert_eq!(world.take_back(&run).await.1, ["succeeded", "succeeded"], "{run} after {pause:?}");
            assert_eq!(world.first(), expected, "{pause:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_lies_beneath_a_run_waits_until_that_one_is_taken_back() {
    use DeviceValue::{High, Low, Normal};
    let world = World::of(1);
    let [first, second, third] = world.chain(CHAIN).await;
    // The third has left there what the first had, and it is the third's.
    let is_left = ["not_attempted changed_since", "not_attempted changed_since"];
    assert_eq!(world.take_back(&first).await.1, is_left);
    assert_eq!(world.take_back(&second).await.1, ["unchanged", "unchanged"]);
    let (undo, _) = world.take_back(&third).await;
    // The undo is taken back and made again: what lies beneath is not seen meanwhile.
    world.take_back(&undo).await;
    assert_eq!(world.first(), (true, High), "as the third had left it");
    assert_eq!(world.take_back(&first).await.1, is_left);
    world.take_back(&third).await;
    assert_eq!(world.first(), (false, Low));
    world.take_back(&second).await;
    world.take_back(&first).await;
    assert_eq!(world.first(), (false, Normal));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_made_between_two_runs_stays_when_both_are_taken_back() {
    let world = World::of(1);
    let first = world.apply("#1,,Set,High\n", &Invocation::default()).await.run_id();
    tokio::time::sleep(Duration::from_hours(1)).await;
    world.service.change(1, |machine| machine.value = DeviceValue::Low);
    let second = world.apply("#1,,Set,Normal\n", &Invocation::default()).await.run_id();
    assert_eq!(world.take_back(&second).await.1, ["succeeded"]);
    assert_eq!(world.take_back(&first).await.1, ["not_attempted changed_since"]);
    assert_eq!(world.first().1, DeviceValue::Low);
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_where_another_has_been_taken_back() {
    let world = World::of(20);
    let how =
        Invocation { interrupted_after: Some(Duration::from_millis(500)), concurrency: 1, ..Invocation::default() };
    let run = world.apply(&adding("A", 20), &how).await.exits(ExitStatus::StoppedEarly).run_id();
    let removing: String = (1..=20).map(|machine| row(machine, "A", "Remove", "")).collect();
    let fresh = Invocation { joins: false, ..Invocation::default() };
    let other = world.apply(&removing, &fresh).await.exits(ExitStatus::Done).run_id();
    world.undo(&other, &Invocation::default()).await.exits(ExitStatus::Done);
    let said = world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!((said.statuses()["succeeded"], world.service.tagged("A")), (20, 20));
    world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(world.service.tagged("A"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_is_known_to_the_next_run_where_the_list_shows_it() {
    let (mut known, mut unknown) = (0, 0);
    for dies_after in (105..).step_by(10) {
        let world = World::of(1);
        let dying = Invocation { dies_after: Some(Duration::from_millis(dies_after)), ..Invocation::default() };
        if world.apply_or_die("#1,,Set,High\n", &dying).await.is_some() {
            break;
        }
        let is_done = world.first().1 == DeviceValue::High;
        let Some(first) = world.store().await.runs().await.expect("runs").first().map(|run| run.run_id.clone()) else {
            continue;
        };
        let fresh = Invocation { joins: false, ..Invocation::default() };
        let second = world.apply("#1,,Set,Low\n", &fresh).await.exits(ExitStatus::Done).run_id();
        let said = world.undo(&second, &Invocation::default()).await;
        if said.status == ExitStatus::InputRefused {
            said.says("an earlier call of ours to them was still without an answer");
            assert!(!is_done, "{dies_after}");
            unknown += 1;
        } else if is_done {
            assert_eq!(world.first().1, DeviceValue::High, "{dies_after}");
            world.undo(&first, &Invocation::default()).await.exits(ExitStatus::Done);
            assert_eq!(world.first().1, DeviceValue::Normal, "{dies_after}");
            known += 1;
        }
    }
    assert!(known > 0 && unknown > 0, "{known} were carried out, {unknown} were not");
}

#[tokio::test(start_paused = true)]
async fn an_undo_whose_plan_was_made_again_counts_both_readings() {
    let world = World::of(3);
    let run = world.apply(&adding("A", 3), &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    let slow = Invocation { answered_after: Some(Duration::from_mins(11)), ..Invocation::default() };
    let said = world.undo(&run, &slow).await.exits(ExitStatus::Done);
    said.says("2 pages of machines");
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_goes_back_to_what_was_there_when_it_was_written() {
    let answers = [(403, "DisallowedOperation"), (423, "Locked"), (423, "")];
    for ((status, code), is_resumed) in answers.into_iter().flat_map(|answer| [(answer, true), (answer, false)]) {
        let world = World::of(12);
        let rows: String = (1..=12).map(|machine| row(machine, "", "Set", "High")).collect();
        let error = format!(r#"{{"error":{{"code":"{code}","message":"not now"}}}}"#);
        let body = if code.is_empty() { Vec::new() } else { error.into_bytes() };
        let refusal = Answer::Response(Response { status, body, ..Response::default() });
        world.service.is_in_trouble(service::Trouble::Answer(refusal));
        let left = Invocation {
            inventory: false,
            interrupted_after: Some(Duration::from_millis(220)),
            concurrency: 1,
            ..Invocation::default()
        };
        let run = world.apply(&rows, &left).await.exits(ExitStatus::StoppedEarly);
        let refused = run.statuses().get("failed").copied().unwrap_or_default();
        assert_eq!((2..10).contains(&refused), status == 403, "{}", run.data);
        let run = run.run_id();
        // Nobody comes to them, and they say what they said.
        let at_once = Invocation { interrupted_after: Some(Duration::from_millis(120)), ..left };
        let said = world.resume(Some(&run), &at_once).await.exits(ExitStatus::StoppedEarly);
        assert!(said.statuses().get("failed").copied().unwrap_or_default() >= refused, "{}", said.data);
        world.service.is_in_trouble(None);
        tokio::time::sleep(Duration::from_hours(1)).await;
        for machine in 1..=12 {
            world.service.change(machine, |machine| machine.value = DeviceValue::Low);
        }
        let said = if is_resumed {
            world.resume(Some(&run), &Invocation::default()).await
        } else {
            world.apply(&rows, &Invocation::default()).await
        };
        assert_eq!(said.exits(ExitStatus::Done).statuses(), [("succeeded".to_owned(), 12)].into());
        world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
        let values: Vec<DeviceValue> = (1..=12).map(|machine| world.service.machine(machine).value).collect();
        assert_eq!(values, [DeviceValue::Low; 12], "{status} {code} {is_resumed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_done_and_is_done_again_goes_back_to_what_was_there_before_the_run() {
    let world = World::of(12);
    let rows: String = (1..=12).map(|machine| row(machine, "", "Set", "High")).collect();
    let left =
        Invocation { interrupted_after: Some(Duration::from_millis(450)), concurrency: 1, ..Invocation::default() };
    let run = world.apply(&rows, &left).await.exits(ExitStatus::StoppedEarly);
    assert!((2..10).contains(&run.statuses()["succeeded"]), "{}", run.data);
    let run = run.run_id();
    tokio::time::sleep(Duration::from_hours(1)).await;
    for machine in 1..=12 {
        world.service.change(machine, |machine| {
            let is_done = machine.value == DeviceValue::High;
            machine.value = if is_done { DeviceValue::Low } else { machine.value };
        });
    }
    // Nobody comes to what is to be done once more.
    let at_once = Invocation { interrupted_after: Some(Duration::from_millis(120)), ..left };
    world.resume(Some(&run), &at_once).await.exits(ExitStatus::StoppedEarly);
    world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done);
    world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
    let values: Vec<DeviceValue> = (1..=12).map(|machine| world.service.machine(machine).value).collect();
    assert_eq!(values, [DeviceValue::Normal; 12]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_to_be_left_of_an_undo_over_which_its_run_was_asked_for_again() {
    let world = World::of(6);
    let run = world.apply(&adding("A", 6), &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let dying = Invocation { dies_after: Some(Duration::from_millis(350)), concurrency: 1, ..Invocation::default() };
    assert!(world.undo_or_die(&run, &dying).await.is_none());
    let stored = async || world.store().await.runs().await.expect("runs");
    let [undo, _run] = stored().await.try_into().expect("two");
    assert!(undo.operations.contains_key(&OperationState::Pending), "{undo:?}");
    tokio::time::sleep(Duration::from_hours(1)).await;
    world.apply(&adding("A", 6), &Invocation::default()).await.exits(ExitStatus::Done);
    let [_apply, undo, _run] = stored().await.try_into().expect("three");
    let states: Vec<OperationState> = undo.operations.keys().copied().collect();
    let over = [OperationState::Succeeded, OperationState::Unknown, OperationState::NotAttempted];
    assert_eq!((undo.condition.as_str(), &states[..]), ("finished", &over[..]), "{undo:?}");
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_resumed_also_where_whoever_took_its_run_back_again_died() {
    let world = World::of(6);
    let run = world.apply(&adding("A", 6), &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    let dies_after = |milliseconds| Invocation {
        dies_after: Some(Duration::from_millis(milliseconds)),
        concurrency: 1,
        ..Invocation::default()
    };
    // The first has taken two back, and the second reads the list.
    for milliseconds in [350, 50] {
        assert!(world.undo_or_die(&run, &dies_after(milliseconds)).await.is_none());
    }
    let undo = world.store().await.runs().await.expect("runs")[0].run_id.clone();
    world.resume(Some(&undo), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(world.service.tagged("A"), 0);
}
