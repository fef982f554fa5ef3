//! Runs of ours that write where others of ours have found or left something: none of them says what is not so any more, and
//! none takes back what was asked for later.

use super::*;
use crate::model::DeviceValue;

fn setting(value: &str, machines: std::ops::RangeInclusive<u32>) -> String {
    machines.map(|machine| row(machine, "", "Set", value)).collect()
}

fn values(world: &World, value: DeviceValue, machines: std::ops::RangeInclusive<u32>) -> usize {
    machines.filter(|machine| world.service.machine(*machine).value == value).count()
}

/// How often each status comes with each code.
fn fates(said: &Said) -> BTreeMap<(String, String), usize> {
    let mut fates = BTreeMap::new();
    for row in said.rows() {
        *fates.entry((row["status"].clone(), row["error_code"].clone())).or_default() += 1;
    }
    fates
}

fn fate(status: &str, code: &str) -> (String, String) {
    (status.to_owned(), code.to_owned())
}

/// A run whose process is interrupted after some of its calls, one after the other.
fn interrupted_after(milliseconds: u64) -> Invocation {
    let after = Duration::from_millis(milliseconds);
    Invocation { interrupted_after: Some(after), concurrency: 1, ..Invocation::default() }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_found_so_and_another_changes_beside_it_is_not_said_to_be_so() {
    let world = World::of(4);
    world.service.change(1, |machine| machine.tag("A"));
    world.service.change(2, |machine| machine.tag("A"));
    let slow = Invocation { quota: "1/1m", ..Invocation::default() };
    let first = async { world.apply(&adding("A", 4), &slow).await.exits(ExitStatus::Done) };
    let second = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        // It comes in at once: what is already set is nobody's.
        let other = Invocation { joins: false, ..Invocation::default() };
        let said = world.apply("#1,A,Remove,\n#2,B,Add,\n", &other).await;
        said.exits(ExitStatus::Done);
    };
    let (first, ()) = tokio::join!(first, second);
    let first = first.says("1 change that was already set was undone by another run meanwhile");
    let expected =
        [(fate("not_attempted", "changed_since"), 1), (fate("succeeded", ""), 2), (fate("unchanged", ""), 1)];
    assert_eq!(fates(&first), expected.into());
    assert_eq!(first.rows()[0]["error_code"], "changed_since");
    assert!(first.data.lines().nth(1).is_some_and(|line| !line.contains("present,present")), "{}", first.data);
}

#[tokio::test(start_paused = true)]
async fn an_undo_of_what_was_taken_back_already_leaves_nothing_and_says_so() {
    let world = World::of(6);
    let run = world.apply(&setting("High", 1..=6), &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
    for hours in [0, 1] {
        tokio::time::sleep(Duration::from_hours(hours)).await;
        let said = world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(fates(&said), [(fate("unchanged", ""), 6)].into(), "{}", said.messages);
        assert!(!said.messages.contains("warning"), "{}", said.messages);
    }
    assert_eq!(world.service.writes().len(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_undo_goes_on_with_an_earlier_one_that_was_left() {
    let world = World::of(12);
    let run = world.apply(&setting("High", 1..=12), &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    let left = world.undo(&run, &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly).run_id();
    let done = values(&world, DeviceValue::Normal, 1..=12);
    assert!((2..10).contains(&done), "{done}");
    let said = world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done).says("Resuming run");
    assert_eq!((said.run_id(), said.statuses()), (left, [("succeeded".to_owned(), 12)].into()));
    assert_eq!((values(&world, DeviceValue::Normal, 1..=12), world.service.writes().len()), (12, 24), "each once");
    world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done).says("There is no unfinished run");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_over_where_a_later_one_has_written() {
    let world = World::of(12);
    let run = world.apply(&setting("High", 1..=12), &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly);
    let run = run.run_id();
    let later = Invocation { joins: false, ..Invocation::default() };
    world.apply(&setting("Low", 1..=12), &later).await.exits(ExitStatus::Done);
    let writes = world.service.writes().len();
    world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done).says("There is no unfinished run");
    let entry = |runs: Vec<crate::store::RunEntry>| runs.into_iter().find(|entry| entry.run_id == run).expect("it");
    let condition = entry(world.store().await.runs().await.expect("runs")).condition;
    assert_eq!(condition, crate::store::RunCondition::Finished);
    let said = world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(fates(&said), [(fate("not_attempted", "changed_since"), 12)].into());
    tokio::time::sleep(Duration::from_hours(1)).await;
    world
        .resume(Some(&run), &Invocation::default())
        .await
        .exits(ExitStatus::Done)
        .says("nothing of it is left to send");
    assert_eq!((values(&world, DeviceValue::Low, 1..=12), world.service.writes().len()), (12, writes));
    // Whoever asks for the file again means it.
    world.apply(&setting("High", 1..=12), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(values(&world, DeviceValue::High, 1..=12), 12);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_was_left_takes_nothing_from_a_later_run() {
    let world = World::of(12);
    let run = world.apply(&setting("High", 1..=12), &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    let left = world.undo(&run, &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly).run_id();
    world.apply(&setting("Low", 1..=12), &Invocation::default()).await.exits(ExitStatus::Done);
    let writes = world.service.writes().len();
    world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done).says("There is no unfinished run");
    let said = world.resume(Some(&left), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(fates(&said), [(fate("not_attempted", "changed_since"), 12)].into(), "{}", said.messages);
    assert_eq!((values(&world, DeviceValue::Low, 1..=12), world.service.writes().len()), (12, writes));
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_was_left_takes_nothing_from_a_later_run_that_found_it_as_it_was_asked() {
    let world = World::of(12);
    let run = world.apply(&setting("High", 1..=12), &Invocation::default()).await.exits(ExitStatus::Done).run_id();
    let left = world.undo(&run, &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly).run_id();
    let undone = values(&world, DeviceValue::Normal, 1..=12);
    // Somebody thinks better of it; of a part at first.
    world.apply(&setting("High", 1..=11), &Invocation::default()).await.exits(ExitStatus::Done);
    let later = world.apply(&setting("High", 1..=12), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(later.statuses(), [("unchanged".to_owned(), 12)].into());
    let writes = world.service.writes().len();
    world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done).says("There is no unfinished run");
    let said = world.resume(Some(&left), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(fates(&said), [(fate("not_attempted", "changed_since"), 12)].into(), "{}", said.messages);
    assert_eq!((values(&world, DeviceValue::High, 1..=12), world.service.writes().len()), (12, writes));
    // Whoever asks for the undo again means what the run has left there.
    world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(values(&world, DeviceValue::Normal, 1..=12), 12 - undone);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_run_was_asked_to_leave_as_it_was_is_left() {
    let world = World::of(12);
    let left = world.apply(&adding("A", 12), &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly).run_id();
    let done = world.service.tagged("A");
    let removing = |machines: std::ops::RangeInclusive<u32>| -> String {
        machines.map(|machine| row(machine, "A", "Remove", "")).collect()
    };
    let fresh = Invocation { joins: false, ..Invocation::default() };
    // The last machine is nobody's but the first run's.
    let later = world.apply(&removing(1..=11), &fresh).await.exits(ExitStatus::Done).run_id();
    assert_eq!(world.service.tagged("A"), 0);
    let said = world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done);
    let said = said.says(&format!("Resuming run {left}"));
    assert_eq!(fates(&said), [(fate("not_attempted", "changed_since"), 11), (fate("succeeded", ""), 1)].into());
    // What was taken back asks for nothing any more.
    let again = world.apply(&adding("B", 12), &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly).run_id();
    let removing: String = (1..=12).map(|machine| row(machine, "B", "Remove", "")).collect();
    let other = world.apply(&removing, &fresh).await.exits(ExitStatus::Done).run_id();
    world.undo(&other, &Invocation::default()).await.exits(ExitStatus::Done);
    world.resume(Some(&again), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!((world.service.tagged("B"), done < 11, later == other), (12, true, false));
}

#[tokio::test(start_paused = true)]
async fn what_a_later_run_has_brought_about_is_no_answer_to_a_call_of_an_undo() {
    let mut unknown = 0;
    for dies_after in (105..).step_by(10) {
        let world = World::of(1);
        let fresh = Invocation { joins: false, ..Invocation::default() };
        let run = world.apply("#1,,Set,High\n", &fresh).await.exits(ExitStatus::Done).run_id();
        tokio::time::sleep(Duration::from_hours(1)).await;
        let dying = Invocation { dies_after: Some(Duration::from_millis(dies_after)), ..Invocation::default() };
        if world.undo_or_die(&run, &dying).await.is_some() {
            break;
        }
        let runs = world.store().await.runs().await.expect("runs");
        let Some(left) = runs.iter().find(|entry| entry.kind == "undo").map(|entry| entry.run_id.clone()) else {
            continue;
        };
        world.apply("#1,,Set,High\n", &fresh).await.exits(ExitStatus::Done);
        world.apply("#1,,Set,Normal\n", &fresh).await.exits(ExitStatus::Done);
        let said = world.resume(Some(&left), &Invocation::default()).await;
        match said.data.as_str() {
            // Nothing had been sent, and nothing is left.
            "" => {}
            _ if said.rows()[0]["status"] == "unknown" => unknown += 1,
            _ => assert_ne!(said.rows()[0]["status"], "succeeded", "{dies_after}: {}", said.data),
        }
    }
    assert!(unknown > 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_run_has_overwritten_is_no_row_that_nobody_came_to() {
    let world = World::of(12);
    let run = world.apply(&setting("High", 1..=12), &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly);
    let (run, done) = (run.run_id(), values(&world, DeviceValue::High, 1..=12));
    let is_high = |machine: &u32| world.service.machine(*machine).value == DeviceValue::High;
    // Two that it has done, and two that it has not come to.
    let (high, normal): (Vec<u32>, Vec<u32>) = (1..=12).partition(is_high);
    let overwritten = high.iter().take(2).chain(normal.iter().take(2));
    let low: String = overwritten.map(|machine| row(*machine, "", "Set", "Low")).collect();
    let later = Invocation { joins: false, ..Invocation::default() };
    world.apply(&low, &later).await.exits(ExitStatus::Done);
    // The list is being read.
    let said = world.resume(Some(&run), &interrupted_after(50)).await.exits(ExitStatus::StoppedEarly);
    let expected = [
        (fate("not_attempted", "changed_since"), 4),
        (fate("not_attempted", "not_attempted"), 12 - done - 2),
        (fate("succeeded", ""), done - 2),
    ];
    assert_eq!(fates(&said), expected.into(), "{}", said.data);
    world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!([DeviceValue::Low, DeviceValue::High].map(|value| values(&world, value, 1..=12)), [4, 8]);
    // Whoever gives the command again means all of it, also where that ends before the list is read.
    world.apply(&setting("High", 1..=12), &interrupted_after(50)).await.exits(ExitStatus::StoppedEarly);
    world.apply(&setting("High", 1..=12), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(values(&world, DeviceValue::High, 1..=12), 12);
}
