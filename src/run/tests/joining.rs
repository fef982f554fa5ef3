//! Going on with a run: what today's list, our own later writes and the options of this invocation make of it.

use super::*;
use crate::api::{Answer, Response};
use crate::model::DeviceValue;

/// A run of 40 rows of which some are done.
async fn interrupted(world: &World) -> String {
    let how = Invocation { interrupted_after: Some(Duration::from_secs(1)), concurrency: 1, ..Invocation::default() };
    let said = world.apply(&adding("A", 40), &how).await.exits(ExitStatus::StoppedEarly);
    let done = world.service.tagged("A");
    assert!((3..30).contains(&done), "{done}");
    said.run_id()
}

fn counts(said: &Said) -> [usize; 3] {
    ["succeeded", "unchanged", "not_attempted"].map(|status| said.statuses().get(status).copied().unwrap_or(0))
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_this_invocation_holds_for_what_is_carried_over() {
    let limited = Invocation { limit: Some(5), ..Invocation::default() };
    for resumes in [false, true] {
        let world = World::of(40);
        let run = interrupted(&world).await;
        let done = world.service.writes().len();
        let said = if resumes {
            world.resume(Some(&run), &limited).await
        } else {
            world.apply(&adding("A", 40), &limited).await
        };
        let said = said.exits(ExitStatus::Done);
        assert_eq!(said.run_id(), run);
        assert_eq!(world.service.writes().len(), done + 5, "resumes: {resumes}");
        assert_eq!(counts(&said), [done + 5, 0, 35 - done], "{}", said.messages);
        // What the limit left out, a resume without one sends.
        let said = world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(counts(&said), [40, 0, 0]);
        assert_eq!(world.service.writes().len(), 40, "each once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_changes_too_much_is_refused_and_leaves_the_run_as_it_was() {
    let world = World::of(40);
    let run = interrupted(&world).await;
    let done = world.service.writes().len();
    let careful = Invocation { max_changes: Some(3), ..Invocation::default() };
    world.resume(Some(&run), &careful).await.exits(ExitStatus::InputRefused).says("--max-changes allows 3");
    world.apply(&adding("A", 40), &careful).await.exits(ExitStatus::InputRefused).says("--max-changes allows 3");
    assert_eq!(world.service.writes().len(), done);
    let said = world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!((said.run_id(), counts(&said)), (run, [40, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn machines_that_left_the_list_are_failed_without_a_call_if_this_invocation_says_so() {
    for resumes in [false, true] {
        let world = World::of(40);
        let run = interrupted(&world).await;
        let done = world.service.writes().len();
        world.service.list(39, false);
        let strict = Invocation { unlisted: UnlistedPolicy::Fail, ..Invocation::default() };
        let said = if resumes {
            world.resume(Some(&run), &strict).await
        } else {
            world.apply(&adding("A", 40), &strict).await
        };
        let said = said.exits(ExitStatus::RowsFailed);
        let row = &said.rows()[38];
        assert_eq!((row["status"].as_str(), row["error_code"].as_str()), ("failed", "not_in_inventory"));
        assert_eq!(world.service.writes().len(), 39, "{done} before: {}", said.messages);
        // Whoever tries such machines gets it done by the same run.
        let said = world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(counts(&said), [40, 0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_did_or_undid_meanwhile_is_seen_when_a_run_is_gone_on_with() {
    for resumes in [false, true] {
        let world = World::of(40);
        let run = interrupted(&world).await;
        let done = world.service.writes().len();
        tokio::time::sleep(Duration::from_hours(1)).await;
        world.service.change(1, |machine| machine.tags.clear());
        world.service.change(40, |machine| machine.tag("A"));
        let said = if resumes {
            world.resume(None, &Invocation::default()).await
        } else {
            world.apply(&adding("A", 40), &Invocation::default()).await
        };
        let said = said.exits(ExitStatus::Done);
        assert_eq!((said.run_id(), counts(&said)), (run, [39, 1, 0]), "resumes: {resumes}");
        assert_eq!(world.service.tagged("A"), 40);
        assert_eq!(world.service.writes().len(), 40, "{done} before, one of them again, and one needs none");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_goes_back_and_forth_between_versions_of_a_file_is_set_each_time() {
    let world = World::of(40);
    // So many that there is always something left to resume.
    let rows = |value: &str| format!("#1,,Set,{value}\n{}", adding("A", 40));
    let how =
        Invocation { interrupted_after: Some(Duration::from_millis(900)), concurrency: 1, ..Invocation::default() };
    for value in ["High", "Low", "High"] {
        world.apply(&rows(value), &how).await.exits(ExitStatus::StoppedEarly);
        let held = DeviceValue::parse(value).expect("a value");
        assert_eq!(world.service.machine(1).value, held, "{value}");
    }
    let said = world.apply(&rows("High"), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(said.rows()[0]["status"], "succeeded");
    assert_eq!(world.service.machine(1).value, DeviceValue::High);
    world.undo(&said.run_id(), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!((world.service.machine(1).value, world.service.tagged("A")), (DeviceValue::Normal, 0));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_comes_back_into_the_file_says_what_held_before_the_run() {
    let world = World::of(40);
    let how =
        Invocation { interrupted_after: Some(Duration::from_millis(900)), concurrency: 1, ..Invocation::default() };
    let rows = |value: &str| format!("#1,,Set,{value}\n{}", adding("A", 40));
    world.apply(&rows("High"), &how).await.exits(ExitStatus::StoppedEarly);
    assert_eq!(world.service.machine(1).value, DeviceValue::High);
    world.apply(&adding("A", 40), &how).await.exits(ExitStatus::StoppedEarly);
    tokio::time::sleep(Duration::from_hours(1)).await;
    let said = world.apply(&rows("Low"), &Invocation::default()).await.exits(ExitStatus::Done);
    let rows = said.rows();
    assert_eq!(["status", "before", "after"].map(|name| &*rows[0][name]), ["succeeded", "Normal", "Low"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_set_when_a_run_began_is_not_taken_for_what_it_has_found_later() {
    let world = World::of(40);
    world.service.change(1, |machine| machine.tag("A"));
    let run = interrupted(&world).await;
    world.service.change(1, |machine| machine.tags.clear());
    world.service.list(1, false);
    let said = world.apply(&adding("A", 40), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!((said.run_id(), &*said.rows()[0]["status"]), (run.clone(), "succeeded"));
    // The tag may be the run's own, so undo does not pass over it in silence.
    let said = world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
    let rows = said.rows();
    let row = rows.iter().find(|row| row["machineId"] == id(1).to_string()).expect("a row");
    assert_eq!(["status", "error_code"].map(|name| row[name].as_str()), ["not_attempted", "unknown_before"]);
    assert_eq!(world.service.tagged("A"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_changed_file_goes_on_with_keeps_what_was_noted_of_its_beginning() {
    let world = World::of(40);
    let run = interrupted(&world).await;
    let changed = adding("A", 40) + &row(1, "B", "Add", "");
    let said = world.apply(&changed, &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(said.run_id(), run);
    let store = world.store().await;
    let key = store.run_by_id(&run).await.expect("the run").key;
    let sessions = store.sessions(key).await.expect("its sessions");
    let ended: Vec<u8> = sessions.iter().filter_map(|session| Some(session.end.as_ref()?.1.exit_status)).collect();
    assert_eq!(ended, [ExitStatus::StoppedEarly.code(), ExitStatus::Done.code()]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_waited_for_its_answer_is_made_again() {
    let (quick, slow) = (Duration::from_mins(9), Duration::from_mins(11));
    for (answered_after, plans) in [(quick, 1), (slow, 2)] {
        let world = World::of(40);
        let how = Invocation { answered_after: Some(answered_after), ..Invocation::default() };
        let run = world.apply(&adding("B", 2), &how).await.exits(ExitStatus::Done).run_id();
        assert_eq!(world.service.reads(), plans, "apply");
        world.undo(&run, &how).await.exits(ExitStatus::Done);
        assert_eq!(world.service.reads(), 2 * plans, "undo");
        let run = interrupted(&world).await;
        let reads = world.service.reads();
        world.resume(Some(&run), &how).await.exits(ExitStatus::Done);
        assert_eq!(world.service.reads() - reads, plans, "resume");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_waited_for_another_run_is_made_again() {
    let world = World::of(2);
    // Slow, since each call waits for the one before.
    let slow = Invocation { quota: "1/12m", ..Invocation::default() };
    let waiting = Invocation { lock_wait: Some(Duration::from_hours(2)), ..Invocation::default() };
    let first = async { world.apply(&adding("A", 2), &slow).await.exits(ExitStatus::Done) };
    let second = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let said = world.apply("#1,A,Add,\n#2,A,Add,\n#1,B,Add,\n", &Invocation { joins: false, ..waiting }).await;
        said.exits(ExitStatus::Done)
    };
    let (_first, second) = tokio::join!(first, second);
    assert_eq!(counts(&second), [1, 2, 0], "what the other run did is seen: {}", second.messages);
    assert_eq!(world.service.writes().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_another_run_did_while_a_plan_waited_for_it_is_seen_however_short_that_was() {
    let world = World::of(2);
    let slow = Invocation { quota: "1/1m", ..Invocation::default() };
    let waiting = Invocation { lock_wait: Some(Duration::from_hours(2)), joins: false, ..Invocation::default() };
    let first = async { world.apply(&adding("A", 2), &slow).await.exits(ExitStatus::Done) };
    let second = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        world.apply("#1,A,Add,\n#2,A,Add,\n#1,B,Add,\n", &waiting).await.exits(ExitStatus::Done)
    };
    let (_first, second) = tokio::join!(first, second);
    assert_eq!(counts(&second), [1, 2, 0], "{}", second.messages);
    assert_eq!(world.service.writes().len(), 3);
    // Neither does taking the second run back touch what the first one did.
    world.undo(&second.run_id(), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!((world.service.tagged("A"), world.service.tagged("B")), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_another_run_did_while_a_plan_that_joins_a_run_was_asked_about_is_seen() {
    let world = World::of(40);
    let run = interrupted(&world).await;
    let asked = Invocation { answered_after: Some(Duration::from_mins(1)), ..Invocation::default() };
    let rows = adding("A", 40) + "#1,B,Add,\n";
    let joining = async { world.apply(&rows, &asked).await.exits(ExitStatus::Done) };
    let other = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let how = Invocation { joins: false, ..Invocation::default() };
        world.apply("#1,B,Add,\n", &how).await.exits(ExitStatus::Done)
    };
    let (joined, _other) = tokio::join!(joining, other);
    assert_eq!((joined.run_id(), counts(&joined)), (run, [40, 1, 0]), "{}", joined.messages);
    // Neither does taking the run back touch what the other one did.
    world.undo(&joined.run_id(), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!((world.service.tagged("A"), world.service.tagged("B")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_list_says_nothing_against_what_was_done_after_its_reading_began() {
    let world = World::of(40);
    let run = interrupted(&world).await;
    let waiting = Invocation { lock_wait: Some(Duration::from_hours(1)), ..Invocation::default() };
    let resuming = async { world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done) };
    let joining = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        world.apply(&adding("A", 40), &waiting).await.exits(ExitStatus::Done)
    };
    let (_resumed, joined) = tokio::join!(resuming, joining);
    assert_eq!(joined.run_id(), run);
    assert_eq!(counts(&joined), [40, 0, 0], "{}", joined.messages);
    assert_eq!(world.service.writes().len(), 40, "each once");
}

#[tokio::test(start_paused = true)]
async fn removes_wait_for_adds_of_a_machine_that_came_into_the_list_meanwhile() {
    for resumes in [false, true] {
        let world = World::of(30);
        world.service.change(30, |machine| machine.tag("Old"));
        world.service.list(30, false);
        let rows = format!("{}#30,New,Add,\n#30,Old,Remove,\n", adding("A", 29));
        let how =
            Invocation { interrupted_after: Some(Duration::from_secs(1)), concurrency: 1, ..Invocation::default() };
        let run = world.apply(&rows, &how).await.exits(ExitStatus::StoppedEarly).run_id();
        world.service.list(30, true);
        let said = if resumes {
            world.resume(Some(&run), &Invocation::default()).await
        } else {
            world.apply(&rows, &Invocation::default()).await
        };
        assert_eq!(said.exits(ExitStatus::Done).run_id(), run);
        let writes = world.service.writes();
        let of_machine: Vec<&str> =
            writes.iter().filter(|(machine, _)| *machine == id(30)).map(|(_, change)| change.as_str()).collect();
        assert_eq!(of_machine, ["Add New", "Remove Old"], "resumes: {resumes}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_note_of_whoever_goes_on_with_a_run_is_kept_with_it() {
    let world = World::of(40);
    let run = interrupted(&world).await;
    let noted = Invocation { note: Some("CHG-7"), ..Invocation::default() };
    world.resume(Some(&run), &noted).await.exits(ExitStatus::Done);
    let stored = world.store().await.run_by_id(&run).await.expect("the run");
    assert_eq!(stored.description.note.as_deref(), Some("CHG-7"));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_somebody_set_after_our_own_recent_write_is_asked_for_again() {
    let rows: String = (1..=20).map(|machine| row(machine, "", "Set", "High")).collect();
    let interrupted =
        Invocation { interrupted_after: Some(Duration::from_secs(1)), concurrency: 1, ..Invocation::default() };
    for (how, resumes, status) in [
        (&Invocation::default(), false, ExitStatus::Done),
        (&interrupted, false, ExitStatus::StoppedEarly),
        (&interrupted, true, ExitStatus::StoppedEarly),
    ] {
        let world = World::of(20);
        let run = world.apply(&rows, how).await.exits(status).run_id();
        assert_eq!(world.service.machine(1).value, DeviceValue::High);
        // Neither ours nor what was there before.
        world.service.change(1, |machine| machine.value = DeviceValue::Low);
        let said = if resumes {
            world.resume(Some(&run), &Invocation::default()).await
        } else {
            world.apply(&rows, &Invocation::default()).await
        };
        let said = said.exits(ExitStatus::Done);
        assert_eq!(
            (said.rows()[0]["status"].as_str(), world.service.machine(1).value),
            ("succeeded", DeviceValue::High)
        );
        assert_eq!(world.service.writes().len(), 21, "the others once: {}", said.messages);
    }
}

#[tokio::test(start_paused = true)]
async fn under_a_limit_each_invocation_makes_progress_and_adds_come_before_removes() {
    for resumes in [false, true] {
        let world = World::of(2);
        world.service.change(1, |machine| machine.tag("Old"));
        let rows = "#1,Old,Remove,\n#1,New,Add,\n#2,,Set,High\n";
        let limited = |limit| Invocation { limit: Some(limit), ..Invocation::default() };
        let run = world.apply(rows, &limited(0)).await.exits(ExitStatus::Done).run_id();
        let expected = ["Add New", "Remove Old", "High"];
        for done in 1..=expected.len() {
            let said = if resumes {
                world.resume(Some(&run), &limited(1)).await
            } else {
                world.apply(rows, &limited(1)).await
            };
            let said = said.exits(ExitStatus::Done);
            let writes: Vec<String> = world.service.writes().into_iter().map(|(_, change)| change).collect();
            assert_eq!(writes, expected[..done], "resumes: {resumes}");
            let codes: Vec<String> = said.rows().into_iter().map(|row| row["error_code"].clone()).collect();
            let left = codes.iter().filter(|code| *code == "beyond_limit").count();
            assert_eq!(left, expected.len() - done, "{codes:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_another_process_has_put_into_a_new_form_is_looked_for_again() {
    let world = World::of(45);
    let run = interrupted(&world).await;
    let grown = adding("A", 45);
    let asked = Invocation { answered_after: Some(Duration::from_secs(30)), ..Invocation::default() };
    let waiting = Invocation { lock_wait: Some(Duration::from_hours(1)), ..Invocation::default() };
    // While the first one is asked, the second one finds the run as it was, and waits for it.
    let first = async { world.apply(&grown, &asked).await.exits(ExitStatus::Done) };
    let second = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.apply(&grown, &waiting).await.exits(ExitStatus::Done).says("Waiting until")
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.run_id(), run);
    for said in [&first, &second] {
        assert_eq!(counts(said)[..2].iter().sum::<usize>(), 45, "{}", said.messages);
    }
    assert_eq!(world.service.writes().len(), 45, "each once");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_run_by_its_name_goes_on_waiting_for_its_new_form() {
    // What is sent after the question takes some ten minutes.
    for (undoes, lock_wait, expected) in [
        (false, Duration::from_hours(1), ExitStatus::Done),
        (false, Duration::from_secs(50), ExitStatus::AnotherRun),
        (true, Duration::from_hours(1), ExitStatus::Done),
        (true, Duration::from_secs(50), ExitStatus::AnotherRun),
    ] {
        let world = World::of(45);
        let run = interrupted(&world).await;
        let asked =
            Invocation { answered_after: Some(Duration::from_secs(30)), quota: "3/1m", ..Invocation::default() };
        let waiting = Invocation { lock_wait: Some(lock_wait), ..Invocation::default() };
        let first = async { world.apply(&adding("A", 45), &asked).await.exits(ExitStatus::Done) };
        let second = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let began = world.clock.boot_time();
            let said = if undoes { world.undo(&run, &waiting).await } else { world.resume(Some(&run), &waiting).await };
            (said.exits(expected), world.clock.boot_time().since(began))
        };
        let (_first, (second, took)) = tokio::join!(first, second);
        if expected == ExitStatus::AnotherRun {
            assert_eq!(took, lock_wait, "not again as long for the new form: {}", second.messages);
            second.says("another run is in the way: run ").says("(50 s at most) for what is in the way: run ");
        } else {
            assert_eq!(world.service.tagged("A"), if undoes { 0 } else { 45 }, "{}", second.messages);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ended_before_it_could_look_names_up_is_not_resumed() {
    let world = World::of(2);
    let how = Invocation { interrupted_after: Some(Duration::from_millis(20)), ..Invocation::default() };
    world.apply("pc-1,A,Add,\n#2,A,Add,\n", &how).await.exits(ExitStatus::StoppedEarly);
    let run = world.store().await.runs().await.expect("runs")[0].run_id.clone();
    for _ in 0..2 {
        let said = world.resume(Some(&run), &Invocation::default()).await;
        said.exits(ExitStatus::InputRefused)
            .says("ended before it had read the tenant's machines, so it cannot be resumed");
    }
    assert_eq!(world.service.writes().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_over_though_nobody_will_know_what_became_of_a_machine_that_is_gone() {
    let body = br#"{"error":{"code":"ResourceNotFound","message":"no such machine"}}"#.to_vec();
    let gone = Answer::Response(Response { status: 404, body, ..Response::default() });
    for is_resumed in [false, true] {
        let world = World::of(2);
        let dying = Invocation { dies_after: Some(Duration::from_millis(150)), ..Invocation::default() };
        assert!(world.apply_or_die("#1,A,Add,\n", &dying).await.is_none());
        world.service.list(1, false);
        world.service.is_in_trouble(service::Trouble::ToWriters(gone.clone()));
        let said = if is_resumed {
            world.resume(None, &Invocation::default()).await
        } else {
            world.apply("#1,A,Add,\n", &Invocation::default()).await
        };
        let said = said.exits(ExitStatus::RowsFailed).says("is finished");
        assert_eq!(said.statuses(), [("unknown".to_owned(), 1)].into(), "{}", said.data);
        world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done).says("There is no unfinished run");
        // Its undo takes back what may have been done.
        world.service.is_in_trouble(None);
        world.service.list(1, true);
        world.service.change(1, |machine| machine.tag("A"));
        world.undo(&said.run_id(), &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(world.service.tagged("A"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn runs_are_forgotten_when_they_are_old_enough_and_never_while_the_list_may_lag_behind_them() {
    let world = World::of(3);
    world.service.lag(Duration::from_mins(14));
    let set = |value: &str| (1..=3).map(|machine| row(machine, "", "Set", value)).collect::<String>();
    let keeping = Invocation { keep_runs: Duration::from_mins(1), ..Invocation::default() };
    world.apply(&set("High"), &keeping).await.exits(ExitStatus::Done);
    tokio::time::sleep(Duration::from_mins(5)).await;
    let said = world.apply(&set("Normal"), &keeping).await.exits(ExitStatus::Done);
    assert_eq!(said.statuses(), [("succeeded".to_owned(), 3)].into(), "{}", said.data);
    assert_eq!(world.store().await.runs().await.expect("runs").len(), 2);
    tokio::time::sleep(Duration::from_hours(2)).await;
    world.apply(&set("Low"), &keeping).await.exits(ExitStatus::Done);
    assert_eq!(world.store().await.runs().await.expect("runs").len(), 1);
}
