//! Runs of ours that write where others of ours have found or left something: none of them says what is not so any more, and
//! none takes back what was asked for later.

mod asked_again;

use super::*;
use crate::api::{Answer, Response};
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
async fn what_another_run_is_about_to_change_is_not_said_to_be_so_already() {
    for lock_wait in [None, Some(Duration::from_hours(1))] {
        let world = World::of(4);
        (1..=4).for_each(|machine| world.service.change(machine, |machine| machine.tag("A")));
        let slow = Invocation { quota: "1/1m", concurrency: 1, ..Invocation::default() };
        let removals: String = (1..=4).map(|machine| row(machine, "A", "Remove", "")).collect();
        let first = async { world.apply(&removals, &slow).await.exits(ExitStatus::Done) };
        let second = async {
            tokio::time::sleep(Duration::from_secs(90)).await;
            let other = Invocation { joins: false, lock_wait, ..Invocation::default() };
            let status = if lock_wait.is_some() { ExitStatus::Done } else { ExitStatus::AnotherRun };
            world.apply(&adding("A", 4), &other).await.exits(status)
        };
        let (_first, second) = tokio::join!(first, second);
        if lock_wait.is_some() {
            assert_eq!((second.statuses(), world.service.tagged("A")), ([("succeeded".to_owned(), 4)].into(), 4));
        }
    }
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
    let first = first.says("1 change was already set, and another run has undone it meanwhile");
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
    world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done).says("nothing is left to send");
    assert_eq!((values(&world, DeviceValue::Low, 1..=12), world.service.writes().len()), (12, writes));
    // Whoever asks for the file again means it.
    world.apply(&setting("High", 1..=12), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(values(&world, DeviceValue::High, 1..=12), 12);
}

#[tokio::test(start_paused = true)]
async fn what_an_older_run_writes_when_it_is_resumed_goes_before_no_newer_one_that_is_unfinished() {
    for hours in [0, 1] {
        let world = World::of(12);
        let left = Invocation { joins: false, ..interrupted_after(250) };
        let [low, high] = ["Low", "High"].map(|value| setting(value, 1..=12));
        let older = world.apply(&low, &left).await.exits(ExitStatus::StoppedEarly).run_id();
        let newer = world.apply(&high, &left).await.exits(ExitStatus::StoppedEarly).run_id();
        let done = values(&world, DeviceValue::High, 1..=12);
        assert!((1..10).contains(&done), "{done}");
        world.resume(Some(&older), &Invocation::default()).await.exits(ExitStatus::Done);
        let [low, high] = [DeviceValue::Low, DeviceValue::High].map(|value| values(&world, value, 1..=12));
        assert_eq!((low, high), (12 - done, done), "what the newer run has done stays");
        tokio::time::sleep(Duration::from_hours(hours)).await;
        let said = world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!((said.run_id(), said.statuses()), (newer, [("succeeded".to_owned(), 12)].into()), "{}", said.data);
        assert_eq!(values(&world, DeviceValue::High, 1..=12), 12);
    }
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

#[tokio::test(start_paused = true)]
async fn what_was_refused_and_a_later_run_found_as_it_was_asked_is_left_and_not_to_be_fed_back() {
    // The list is read, or the run ends before that.
    for interrupted in [false, true] {
        let world = World::of(12);
        let body = br#"{"error":{"code":"DisallowedOperation","message":"not allowed"}}"#.to_vec();
        let refusal = Answer::Response(Response { status: 403, body, ..Response::default() });
        world.service.is_in_trouble(service::Trouble::Answer(refusal));
        let blind = Invocation { inventory: false, ..interrupted_after(220) };
        let run = world.apply(&setting("High", 1..=12), &blind).await.exits(ExitStatus::StoppedEarly);
        assert!(run.statuses().get("failed").is_some_and(|failed| (2..10).contains(failed)), "{}", run.data);
        world.service.is_in_trouble(None);
        let run = run.run_id();
        let later = Invocation { joins: false, ..Invocation::default() };
        world.apply(&setting("Normal", 1..=12), &later).await.exits(ExitStatus::Done);
        let writes = world.service.writes().len();
        if interrupted {
            let said = world.resume(Some(&run), &interrupted_after(50)).await.exits(ExitStatus::StoppedEarly);
            assert_eq!(fates(&said), [(fate("not_attempted", "changed_since"), 12)].into(), "{}", said.data);
        }
        for limit in [Some(0), Some(3), None] {
            let said = world.resume(Some(&run), &Invocation { limit, ..Invocation::default() }).await;
            let is_left = said.data.is_empty() || fates(&said) == [(fate("not_attempted", "changed_since"), 12)].into();
            assert!(is_left, "{limit:?}: {}", said.data);
        }
        assert_eq!((values(&world, DeviceValue::Normal, 1..=12), world.service.writes().len()), (12, writes));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_had_found_or_done_and_a_later_one_found_otherwise_is_left() {
    let world = World::of(12);
    // Found as it is to be.
    for machine in 1..=6 {
        world.service.change(machine, |machine| machine.value = DeviceValue::High);
    }
    let run = world.apply(&setting("High", 1..=12), &interrupted_after(450)).await.exits(ExitStatus::StoppedEarly);
    let done = run.statuses();
    assert!(done["unchanged"] == 6 && done.get("succeeded").is_some_and(|done| *done > 1), "{}", run.data);
    let run = run.run_id();
    tokio::time::sleep(Duration::from_hours(1)).await;
    for machine in 1..=12 {
        world.service.change(machine, |machine| machine.value = DeviceValue::Low);
    }
    let later = Invocation { joins: false, ..Invocation::default() };
    let said = world.apply(&setting("Low", 1..=12), &later).await.exits(ExitStatus::Done);
    assert_eq!(said.statuses(), [("unchanged".to_owned(), 12)].into());
    let writes = world.service.writes().len();
    let said = world.resume(Some(&run), &Invocation::default()).await;
    assert_eq!(fates(&said), [(fate("not_attempted", "changed_since"), 12)].into(), "{}", said.data);
    assert_eq!((values(&world, DeviceValue::Low, 1..=12), world.service.writes().len()), (12, writes));
}

#[tokio::test(start_paused = true)]
async fn what_a_later_run_removed_in_another_case_is_not_added_again() {
    for minutes in [0, 60] {
        let world = World::of(12);
        world.service.change(1, |machine| machine.tag("Tier0"));
        let add = adding("Tier0", 12);
        let run = world.apply(&add, &interrupted_after(450)).await.exits(ExitStatus::StoppedEarly);
        let done = run.statuses();
        assert!(done["unchanged"] == 1 && done.get("succeeded").is_some_and(|done| *done > 1), "{}", run.data);
        tokio::time::sleep(Duration::from_mins(minutes)).await;
        let later = Invocation { joins: false, ..Invocation::default() };
        let said = world.apply(&add.replace("Tier0,Add", "TIER0,Remove"), &later).await.exits(ExitStatus::Done);
        assert_eq!(said.rows().len(), 12);
        let writes = world.service.writes().len();
        let said = world.resume(Some(&run.run_id()), &Invocation::default()).await;
        assert_eq!(fates(&said), [(fate("not_attempted", "changed_since"), 12)].into(), "{minutes}: {}", said.data);
        assert_eq!(world.service.writes().len(), writes);
    }
}

/// Goes on at once or an hour later with a run that was left, or with its undo, after others have changed what it had done.
async fn changed_by_others_since(kind: &str, hours: u64, is_undo: bool) -> (World, Said) {
    let world = World::of(12);
    let rows = if kind == "tag" { adding("A", 12) } else { setting("High", 1..=12) };
    let run = if is_undo {
        let run = world.apply(&rows, &Invocation::default()).await.exits(ExitStatus::Done).run_id();
        world.undo(&run, &interrupted_after(600)).await
    } else {
        world.apply(&rows, &interrupted_after(600)).await
    };
    let run = run.exits(ExitStatus::StoppedEarly).run_id();
    let is_done = |machine: &u32| {
        let machine = world.service.machine(*machine);
        (machine.value == DeviceValue::High || machine.tags.iter().any(|tag| tag == "A")) != is_undo
    };
    let done: Vec<u32> = (1..=12).filter(is_done).take(2).collect();
    assert_eq!(done.len(), 2);
    for machine in done {
        world.service.change(machine, |machine| match (kind, is_undo) {
            ("tag", true) => machine.tag("A"),
            ("tag", _) => machine.tags.clear(),
            _ => machine.value = DeviceValue::Low,
        });
    }
    tokio::time::sleep(Duration::from_hours(hours)).await;
    let said = world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done);
    (world, said)
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_changed_since_an_undo_did_it_is_left_and_is_not_said_to_be_so() {
    // A list that lags is told from somebody else's doing by a value at once, and by a tag once it has caught up.
    for (kind, hours) in [("value", 0), ("value", 1), ("tag", 1)] {
        let (world, said) = changed_by_others_since(kind, hours, true).await;
        let expected = [(fate("not_attempted", "changed_since"), 2), (fate("succeeded", ""), 10)];
        assert_eq!(fates(&said), expected.into(), "{kind} {hours}: {}", said.data);
        let changed = if kind == "tag" { world.service.tagged("A") } else { values(&world, DeviceValue::Low, 1..=12) };
        assert_eq!(changed, 2, "{kind} {hours}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_changed_since_a_run_did_it_is_sent_again() {
    for (kind, hours) in [("value", 0), ("value", 1), ("tag", 1)] {
        let (world, said) = changed_by_others_since(kind, hours, false).await;
        assert_eq!(fates(&said), [(fate("succeeded", ""), 12)].into(), "{kind} {hours}: {}", said.data);
        let done = if kind == "tag" { world.service.tagged("A") } else { values(&world, DeviceValue::High, 1..=12) };
        assert_eq!(done, 12, "{kind} {hours}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_show_yet_what_was_done_a_moment_ago_contradicts_nothing() {
    for (rows, is_undo) in [(adding("A", 12), true), (setting("High", 1..=12), true), (adding("A", 12), false)] {
        let world = World::of(12);
        world.service.lag(Duration::from_mins(10));
        let left = if is_undo {
            let run = world.apply(&rows, &Invocation::default()).await.exits(ExitStatus::Done).run_id();
            world.undo(&run, &interrupted_after(600)).await
        } else {
            world.apply(&rows, &interrupted_after(600)).await
        };
        let left = left.exits(ExitStatus::StoppedEarly).run_id();
        let said = world.resume(Some(&left), &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(fates(&said), [(fate("succeeded", ""), 12)].into(), "{}", said.data);
        assert_eq!(world.service.writes().len(), if is_undo { 24 } else { 12 }, "each once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_and_a_later_run_has_overwritten_is_not_to_be_fed_back() {
    let mut seen = 0;
    for dies_after in (105..700).step_by(45) {
        let world = World::of(5);
        let dying = Invocation { dies_after: Some(Duration::from_millis(dies_after)), ..Invocation::default() };
        if world.apply_or_die(&setting("High", 1..=5), &dying).await.is_some() {
            break;
        }
        let runs = world.store().await.runs().await.expect("runs");
        let Some(run) = runs.first().map(|entry| entry.run_id.clone()) else { continue };
        let later = Invocation { joins: false, ..Invocation::default() };
        world.apply(&setting("Low", 1..=4), &later).await.exits(ExitStatus::Done);
        // The list is being read.
        let said = world.resume(Some(&run), &interrupted_after(50)).await;
        // One that died before it was stored has no rows.
        for row in if said.data.is_empty() { Vec::new() } else { said.rows() }.iter().take(4) {
            assert_eq!(row["error_code"], "changed_since", "{dies_after}: {}", said.data);
            seen += usize::from(row["status"] == "unknown");
        }
        // The last machine is left for another time; then what was left to the later run stays with it.
        for limit in [Some(0), None] {
            world.resume(Some(&run), &Invocation { limit, ..Invocation::default() }).await;
            assert_eq!(values(&world, DeviceValue::Low, 1..=4), 4, "{dies_after}");
        }
    }
    assert!(seen > 0);
}
