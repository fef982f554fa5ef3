//! Slots across versions of a file, crashes and runs: what was first, what is last, and what may be.

mod fixtures;

use self::fixtures::{LAG, LOW, NORMAL, Place, Process, describe_write};
use super::*;
use crate::model::DeviceValue;
use crate::store::{CarriedOperation, Declared, OperationState, RunCondition, RunKind, RunState, name_of_undo};

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_when_a_process_died_may_hold_whoever_asks() {
    let place = Place::new();
    let first = place.process().await;
    let run = first.run("run", &[("+A", Held::Absent), ("High", LOW), ("+C", Held::Absent)]).await;
    let _in_flight = first.send(run, &[0, 1]).await;
    let expected = ["A present?", "1value High?"];
    assert_eq!(first.recent().await, expected, "in flight it may hold already");
    assert_eq!(first.states(run).await, [(OperationState::Pending, false); 3]);
    drop(first);
    let second = place.process().await;
    let states = [(OperationState::Pending, true), (OperationState::Pending, true), (OperationState::Pending, false)];
    assert_eq!(second.states(run).await, states, "swept when the next process came");
    assert_eq!(second.recent().await, expected);
    assert_eq!(second.slots(run).await, ["A: absent -> absent|present", "1value: Low -> Low|High"]);
    let listed = &second.store.runs().await.expect("the store works")[0];
    let counts = [(OperationState::Pending, 1), (OperationState::Unknown, 2)];
    assert_eq!((listed.operations.clone(), listed.condition), (counts.into(), RunCondition::Unfinished));
    // Whoever takes the run back leaves the doubt as it is.
    second.store.close_run(run).await.expect("the store works");
    let states = [
        (OperationState::NotAttempted, true),
        (OperationState::NotAttempted, true),
        (OperationState::NotAttempted, false),
    ];
    assert_eq!(second.states(run).await, states);
    let unknown = second.store.unknown_operations(run).await.expect("the store works");
    assert_eq!(unknown.operations.len(), 2, "reading may settle it");
    let listed = &second.store.runs().await.expect("the store works")[0];
    let counts = [(OperationState::Unknown, 2), (OperationState::NotAttempted, 1)];
    assert_eq!((listed.operations.clone(), listed.condition), (counts.into(), RunCondition::Finished));
}

#[tokio::test(start_paused = true)]
async fn who_only_reads_counts_what_a_dead_process_had_in_flight_as_unknown_too() {
    let place = Place::new();
    let first = place.process().await;
    let run = first.run("run", &[("+A", Held::Absent), ("+B", Held::Absent)]).await;
    let _in_flight = first.send(run, &[0]).await;
    let reader = Reader::open(&place.directory.path().join("state")).await.expect("a reader").expect("a state");
    let counts = async || reader.runs().await.expect("the state")[0].operations.clone();
    assert_eq!(counts().await, [(OperationState::Pending, 2)].into(), "it lives");
    drop(first);
    assert_eq!(counts().await, [(OperationState::Pending, 1), (OperationState::Unknown, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_answer_leaves_the_outcome_unknown_and_an_answer_settles_it() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("+A", Held::Absent)]).await;
    let sent = process.send(run, &[0]).await;
    process.settle(sent.0[0], 0, None, true).await;
    let sent = process.send(run, &[0]).await;
    process.settle(sent.0[0], 0, Some(OperationState::Failed), false).await;
    assert_eq!(process.recent().await, ["A present?"]);
    assert_eq!(process.slots(run).await, ["A: absent -> absent|present"]);
    let unknown = process.store.unknown_operations(run).await.expect("the store works");
    assert_eq!(unknown.operations.len(), 1);
    assert_eq!(process.store.open_operations(run).await.expect("the store works"), 0, "it is not sent for ever");
    // An answer that shows the machine without the change, and is believed, is the last word.
    let sent = process.send(run, &[0]).await;
    let failed = Some(OperationState::Failed);
    process.settle_with(sent.0[0], 0, failed, false, Some("not_applied")).await;
    assert_eq!(process.states(run).await, [(OperationState::Failed, false)]);
    assert_eq!(process.slots(run).await, [""; 0]);
    process.done(run, &[0]).await;
    assert_eq!(process.recent().await, ["A present"]);
    assert_eq!(process.slots(run).await, ["A: absent -> present"]);
}

#[tokio::test(start_paused = true)]
async fn writes_are_recent_by_the_clock_of_their_attempts_and_ordered_by_their_numbers() {
    let place = Place::new();
    let process = place.process().await;
    let one = process.run("one", &[("High", LOW)]).await;
    process.done(one, &[0]).await;
    process.store.set_run_state(one, RunState::Finished).await.expect("the store works");
    tokio::time::sleep(Duration::from_mins(10)).await;
    let other = process.run("other", &[("Low", LOW), ("+B", Held::Absent)]).await;
    process.store.send_again(other, vec![OperationId(0)]).await.expect("the store works");
    process.done(other, &[0]).await;
    assert_eq!(process.recent().await, ["value High", "value Low"]);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let _in_flight = process.send(other, &[1]).await;
    assert_eq!(process.recent().await, ["value Low", "1B present?"]);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let _in_flight = process.send(other, &[1]).await;
    assert_eq!(process.recent().await, ["1B present?", "1B present?"], "what is in flight is never old");
}

#[tokio::test(start_paused = true)]
async fn before_and_after_belong_to_the_slot_whatever_rows_come_and_go() {
    let place = Place::new();
    let first = place.process().await;
    let run =
        first.run("run", &[("+A", Held::Absent), ("High", NORMAL), ("+C", Held::Absent), ("+D", Held::Absent)]).await;
    first.done(run, &[0, 1]).await;
    let _in_flight = first.send(run, &[2]).await;
    drop(first);
    let second = place.process().await;
    // A and the value are flipped, C is dropped.
    let carried = [
        CarriedOperation::History(OperationId(0), Some(OperationId(0))),
        CarriedOperation::History(OperationId(1), Some(OperationId(1))),
        CarriedOperation::History(OperationId(2), None),
    ];
    let run = second.join(run, &[("-A", Held::Present), ("Low", Held::Unknown)], &carried).await;
    let before: Vec<Held> = second
        .store
        .known_operations(run, None, 100)
        .await
        .expect("the store works")
        .into_iter()
        .map(|known| known.before)
        .collect();
    assert_eq!(before, [Held::Absent, NORMAL]);
    let in_history = ["A: absent -> present", "1value: Normal -> High", "2C: absent -> absent|present"];
    assert_eq!(second.slots(run).await, in_history);
    assert_eq!(second.recent().await, ["A present", "1value High", "2C absent?", "2C present?"]);
    second.done(run, &[0]).await;
    let _in_flight = second.send(run, &[1]).await;
    let expected = ["A: absent -> absent", "1value: Normal -> Low|High", "2C: absent -> absent|present"];
    assert_eq!(second.slots(run).await, expected);
    drop(second);
    // The next version wants A again, and nothing else: no outcome of the first version answers it.
    let third = place.process().await;
    let carried = [
        CarriedOperation::History(OperationId(0), Some(OperationId(0))),
        CarriedOperation::History(OperationId(1), None),
    ];
    let run = third.join(run, &[("+A", Held::Absent)], &carried).await;
    assert_eq!(third.states(run).await, [(OperationState::Pending, false)]);
    assert_eq!(third.slots(run).await, expected);
    third.done(run, &[0]).await;
    assert_eq!(third.slots(run).await[0], "A: absent -> present");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_keeps_what_was_before_and_what_was_done() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", NORMAL), ("+B", Held::Absent)]).await;
    process.done(run, &[0, 1]).await;
    let carried = [
        CarriedOperation::Facts(OperationId(0), OperationId(0)),
        CarriedOperation::Outcome(OperationId(1), OperationId(1)),
    ];
    let run = process.join(run, &[("High", LOW), ("+B", Held::Absent)], &carried).await;
    assert_eq!(process.states(run).await, [(OperationState::Pending, false), (OperationState::Succeeded, false)]);
    assert_eq!(process.slots(run).await, ["value: Normal -> High", "1B: absent -> present"]);
    process.store.send_again(run, vec![OperationId(1)]).await.expect("the store works");
    assert_eq!(process.states(run).await, [(OperationState::Pending, false); 2]);
    assert_eq!(process.slots(run).await, ["value: Normal -> High", "1B: absent -> present"]);
}

#[tokio::test(start_paused = true)]
async fn what_other_runs_changed_later_is_told_from_what_they_wrote_before_and_from_what_changed_nothing() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", NORMAL), ("+B", Held::Absent), ("+C", Held::Absent)]).await;
    let other = process.run("other", &[("Low", NORMAL), ("+X", Held::Absent)]).await;
    process.done(run, &[1]).await;
    process.done(other, &[0]).await;
    process.done(run, &[0, 2]).await;
    assert_eq!(process.slots(run).await[0], "value: Normal -> High", "that came before");
    let third = process.run("third", &[("Low", Held::Unknown), ("+B", Held::Absent), ("-C", Held::Present)]).await;
    process.done(third, &[0]).await;
    let _in_flight = process.send(third, &[2]).await;
    let expected = ["value: Normal -> High value Low", "1B: absent -> present", "2C: absent -> present 2C absent?"];
    assert_eq!(process.slots(run).await, expected);
    let same = process.run("same", &[("+Y", Held::Absent), ("+B", Held::Unknown)]).await;
    process.done(same, &[1]).await;
    assert_eq!(process.slots(run).await[1], "1B: absent -> present 1B present", "what was before is not known");
    let later = process.store.later_writes(run).await.expect("the store works");
    let later: Vec<String> = later.iter().map(describe_write).collect();
    assert_eq!(later, ["value Low", "value Low", "2C absent?", "1B present"]);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_goes_when_nothing_of_it_can_arrive_any_more_before_the_next_write() {
    let place = Place::new();
    let process = place.process().await;
    for (pause, expected) in [(0, "value: Normal -> Low|High"), (31, "value: Normal -> Low")] {
        let run = process.run("run", &[("High", NORMAL)]).await;
        let sent = process.send(run, &[0]).await;
        process.settle(sent.0[0], 0, None, true).await;
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let carried = [CarriedOperation::History(OperationId(0), Some(OperationId(0)))];
        let run = process.join(run, &[("Low", Held::Unknown)], &carried).await;
        process.done(run, &[0]).await;
        let slots = process.slots(run).await;
        assert_eq!(slots[0].replace("Low|Normal|High", "Low|High"), expected, "after {pause} s");
        process.store.set_run_state(run, RunState::Finished).await.expect("the store works");
        let rename = format!("UPDATE run SET run_id = run_id || '{:x}'", fastrand::u64(..));
        process
            .store
            .writer
            .run(move |transaction| transaction.execute(&rename, params![]))
            .await
            .expect("the store works");
    }
}

#[tokio::test(start_paused = true)]
async fn how_old_a_write_is_another_clock_cannot_tell() {
    let mut place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", NORMAL)]).await;
    process.done(run, &[0]).await;
    let ages = async |process: &Process| {
        let recent = process.store.recent_writes(process.account, "host", LAG).await.expect("the store works");
        recent.writes.map(|write| write.age).collect::<Vec<_>>()
    };
    assert_eq!(ages(&process).await, [Age::Young]);
    drop(process);
    // A server has seen that clock, and what it and wall time say is that old.
    let knows_better = crate::store::server::tests::cluster::is_wanted();
    let long_after = if knows_better { vec![] } else { vec![Age::LooksOld] };
    for (wall, expected) in [("2026-05-01T00:01:00Z", vec![Age::LooksYoung]), ("2026-05-01T10:00:00Z", long_after)] {
        place.restart(wall);
        let process = place.process().await;
        process.store.sweep_dead_processes().await.expect("the store works");
        assert_eq!(ages(&process).await, expected, "{wall}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_found_before_it_wrote_again_is_kept_with_the_write() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", LOW)]).await;
    process.done(run, &[0]).await;
    let run = process.join(run, &[("High", LOW)], &[CarriedOperation::Facts(OperationId(0), OperationId(0))]).await;
    process.store.note_found(run, vec![(OperationId(0), MayHold::only(NORMAL))]).await.expect("the store works");
    process.done(run, &[0]).await;
    let run = process.join(run, &[("High", LOW)], &[CarriedOperation::Outcome(OperationId(0), OperationId(0))]).await;
    let recent = process.store.recent_writes(process.account, "host", LAG).await.expect("the store works");
    let last = recent.writes.last().expect("a write");
    assert_eq!((last.before, last.found), (LOW, MayHold::only(NORMAL)));
    assert_eq!(process.slots(run).await, ["value: Low -> High"], "what was before the run stays that");
}

#[tokio::test(start_paused = true)]
async fn a_tag_in_another_form_may_have_gone_with_the_one_that_was_removed() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("-OLD", Held::Unknown), ("+NEW", Held::Unknown)]).await;
    let forms = |form: &str| vec![Tag::new(form).expect("a tag")];
    let noted = vec![(OperationId(0), forms("old")), (OperationId(1), forms("new"))];
    process.store.note_other_forms(run, noted).await.expect("the store works");
    assert_eq!(process.slots(run).await, Vec::<String>::new(), "nothing was sent");
    process.done(run, &[0, 1]).await;
    let expected = ["OLD: absent -> absent", "old: present -> absent|present"];
    assert_eq!(process.slots(run).await[..2], expected);
    assert_eq!(process.slots(run).await[2..], ["1NEW: ? -> present", "1new: present -> present"]);
    // So it is where the row is dropped.
    let run = process.join(run, &[], &[CarriedOperation::History(OperationId(0), None)]).await;
    assert_eq!(process.slots(run).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_gone_on_with_since_is_more_than_its_undo_knows() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", NORMAL), ("+A", Held::Absent)]).await;
    process.done(run, &[0]).await;
    let undo = process.run("undo", &[("Normal", Held::Value(DeviceValue::High))]).await;
    assert!(!process.store.has_called_since(run, undo).await.expect("the store works"));
    process.done(run, &[1]).await;
    assert!(process.store.has_called_since(run, undo).await.expect("the store works"));
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_gives_way_to_what_a_later_run_found_as_it_was_asked() {
    let place = Place::new();
    let process = place.process().await;
    let older = process.run("older", &[("High", NORMAL), ("High", NORMAL), ("High", NORMAL)]).await;
    process.done(older, &[2]).await;
    let fail = "UPDATE operation SET state = ?2 WHERE run_key = ?1 AND operation_number = 1";
    let failed = OperationState::Failed.number();
    let set = process.store.writer.run(move |transaction| transaction.execute(fail, params![older.0, failed]));
    set.await.expect("the store works");
    let later = process.run("later", &[("Normal", NORMAL), ("Normal", NORMAL), ("Normal", NORMAL)]).await;
    process.store.set_run_state(later, RunState::Finished).await.expect("the store works");
    let findings = process.store.later_findings(older).await.expect("the store works");
    let mut slots: Vec<_> = findings.iter().map(|finding| finding.slot.machine.to_string()).collect();
    slots.sort_unstable();
    assert_eq!(slots.len(), 3, "what was done, too: somebody has changed it since: {slots:?}");
}

#[tokio::test(start_paused = true)]
async fn a_later_wish_counts_in_whatever_case_and_until_somebody_wishes_as_the_first() {
    let place = Place::new();
    let process = place.process().await;
    let (absent, present) = (Held::Absent, Held::Present);
    let older = process.run("older", &[("+T", absent), ("-T", present), ("+T", absent), ("High", NORMAL)]).await;
    let found = async |name, changes: &[(&str, Held)], done: &[u32]| {
        let later = process.run(name, changes).await;
        process.done(later, done).await;
        process.store.set_run_state(later, RunState::Finished).await.expect("the store works");
        let findings = process.store.later_findings(older).await.expect("the store works");
        let mut slots: Vec<_> =
            findings.iter().map(|finding| (finding.slot.machine.to_string(), finding.wrote)).collect();
        slots.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let open = process.store.open_operations(older).await.expect("the store works");
        (slots.into_iter().map(|(_, wrote)| wrote).collect::<Vec<_>>(), open)
    };
    let otherwise = [("-t", absent), ("+t", present), ("+t", present), ("Normal", NORMAL)];
    assert_eq!(found("otherwise", &otherwise, &[]).await, (vec![absent, present, NORMAL], 1));
    let as_first = [("+T", present), ("-T", absent), ("+T", present), ("High", Held::Value(DeviceValue::High))];
    assert_eq!(found("as the first", &as_first, &[]).await, (Vec::new(), 4));
    assert_eq!(found("wrote", &[("-t", present)], &[0]).await, (vec![absent], 3));
}

#[tokio::test(start_paused = true)]
async fn the_later_wish_is_the_one_that_was_asked_for_later_and_counts_wherever_its_run_has_ended() {
    let place = Place::new();
    let process = place.process().await;
    let older = process.run("older", &[("Normal", NORMAL)]).await;
    let newer = process.run("newer", &[("High", NORMAL)]).await;
    let findings = async || process.store.later_findings(newer).await.expect("the store works").len();
    process.store.set_run_state(older, RunState::Finished).await.expect("the store works");
    for (is_asked_now, expected) in [(false, 0), (true, 1)] {
        process.store.note_decided(older, AttemptKey(9), is_asked_now).await.expect("the store works");
        assert_eq!(findings().await, expected, "{is_asked_now}");
    }
    process.store.note_decided(newer, AttemptKey(9), true).await.expect("the store works");
    assert_eq!(findings().await, 0);
    let stopped = process.run("stopped", &[("Normal", NORMAL), ("High", NORMAL)]).await;
    process.store.note_decided(stopped, AttemptKey(10), true).await.expect("the store works");
    // Whoever dies between his last outcome and the end of his run has left nothing of it, either.
    let ends = [RunState::Stopped, RunState::Running];
    for end in ends {
        process.store.set_run_state(stopped, end).await.expect("the store works");
        assert_eq!(findings().await, 0, "something of it is open");
    }
    process.done(stopped, &[1]).await;
    for end in ends {
        process.store.set_run_state(stopped, end).await.expect("the store works");
        assert_eq!(findings().await, 1, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_found_counts_once_a_later_one_has_done_all_that_was_open_of_it() {
    let place = Place::new();
    let process = place.process().await;
    let absent = Held::Absent;
    let oldest = process.run("oldest", &[("+A", absent), ("+A", absent), ("High", NORMAL)]).await;
    let left = process.run("left", &[("High", NORMAL), ("+B", absent), ("Normal", NORMAL)]).await;
    process.store.set_run_state(left, RunState::Stopped).await.expect("the store works");
    let found = async || process.store.later_findings(oldest).await.expect("the store works").len();
    for (number, change, expected) in [(0, ("High", NORMAL), 0), (1, ("+B", absent), 1)] {
        assert_eq!(found().await, 0, "something of it is open");
        let later = process.run(change.0, &[change, change][..=number as usize]).await;
        process.done(later, &[number]).await;
        process.store.set_run_state(later, RunState::Finished).await.expect("the store works");
        assert_eq!(found().await, expected, "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_did_before_it_was_asked_for_again_is_its_later_word_too() {
    let place = Place::new();
    let process = place.process().await;
    let first = process.run("first", &[("High", NORMAL)]).await;
    process.done(first, &[0]).await;
    let second = process.run("second", &[("Low", NORMAL)]).await;
    let found = async || {
        let findings = process.store.later_findings(second).await.expect("the store works");
        findings.into_iter().map(|finding| (finding.run, finding.wrote, finding.surely)).collect::<Vec<_>>()
    };
    assert_eq!(found().await, []);
    process.store.note_decided(first, AttemptKey(9), true).await.expect("the store works");
    process.store.set_run_state(first, RunState::Finished).await.expect("the store works");
    assert_eq!(found().await, [(first, Held::Value(DeviceValue::High), true)]);
    assert_eq!(process.store.open_operations(second).await.expect("the store works"), 0);
}

#[tokio::test(start_paused = true)]
async fn which_runs_go_before_another_hangs_on_when_they_were_asked_for_and_an_undo_gives_way_to_all() {
    let place = Place::new();
    let process = place.process().await;
    let (store, low) = (&process.store, [("Low", NORMAL)]);
    let older = process.run("older", &low).await;
    let newer = process.run("newer", &low).await;
    let undo = process.run_of("undo", &name_of_undo("older"), RunKind::Undo, &low).await;
    let overruling = async |run, is_asked_now| {
        let mut runs: Vec<RunKey> = store.overruling(run, is_asked_now).await.expect("an answer").into_iter().collect();
        runs.sort_unstable_by_key(|run| run.0);
        runs
    };
    assert_eq!(overruling(older, false).await, [newer, undo]);
    assert_eq!(overruling(newer, false).await, [undo]);
    assert_eq!((overruling(newer, true).await, overruling(undo, true).await), (vec![], vec![older, newer]));
    assert!(!store.is_taken_back(older).await.expect("an answer"), "something of it is open");
    process.done(older, &[0]).await;
    store.note_asked(older).await.expect("the store works");
    assert_eq!((overruling(older, false).await, overruling(newer, false).await), (vec![], vec![older, undo]));
    let taken_back = [store.is_taken_back(older).await, store.is_taken_back(newer).await];
    assert_eq!(taken_back.map(|taken| taken.expect("an answer")), [true, false]);
    for (input, is_followed) in [("input.csv", true), ("other.csv", false)] {
        assert_eq!(store.is_followed(older, input.to_owned()).await.expect("an answer"), is_followed, "{input}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_rules_of_the_same_name_do_not_give_a_machine_any_more_is_not_brought_back_by_an_older_run() {
    let place = Place::new();
    let process = place.process().await;
    let declare = async |run, name: &str| {
        let declared = Declared { name: name.to_owned(), ..Declared::default() };
        process.store.declare(run, declared).await.expect("the store works");
    };
    let present = Held::Present;
    let changes = [("+A", Held::Absent), ("High", NORMAL), ("+B", Held::Absent), ("+C", Held::Absent), ("-D", present)];
    let older = process.run("older", &changes).await;
    declare(older, "fleet").await;
    process.done(older, &[2]).await;
    let undo = process.run_of("undo", &name_of_undo("older"), RunKind::Undo, &[("-B", present)]).await;
    let other = process.run("other", &[("+C", Held::Absent)]).await;
    let open = async || {
        let mut open = [0; 3];
        for (place, run) in [older, undo, other].into_iter().enumerate() {
            open[place] = process.store.open_operations(run).await.expect("the store works");
        }
        open
    };
    // It says something of each machine, and that the fourth is to have this very tag.
    let changes = [("+E", present), ("+E", present), ("+E", present), ("+C", Held::Absent), ("+E", present)];
    let later = process.run("later", &changes).await;
    declare(later, "fleet").await;
    assert_eq!(open().await, [4, 1, 1], "it has not come to its end");
    process.store.set_run_state(later, RunState::Finished).await.expect("the store works");
    assert_eq!(open().await, [3, 1, 1], "nobody gives the first machine its tag any more");
    process.run_of("other undo", &name_of_undo("later"), RunKind::Undo, &[]).await;
    assert_eq!(open().await, [4, 1, 1], "what was taken back asks for nothing");
}
