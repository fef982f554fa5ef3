//! A judge that cannot find anything is worth nothing: for every kind of fault a tale in which it is, and one beside it in
//! which all is well.

use std::time::Duration;

use super::tale::Tale;
use super::*;
use crate::model::DeviceValue;
use crate::run::histories::drawing::LAST_LABELS;
use crate::run::histories::history::Nature;

fn add(tag: &str) -> Wish {
    Wish::Add(tag.into())
}

fn remove(tag: &str) -> Wish {
    Wish::Remove(tag.into())
}

const DONE: End = End::Exited(0);
const BAD_ROWS: End = End::Exited(1);

/// An apply that adds a tag to the first machine, and has seen that it was not there.
fn added() -> Tale {
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.change(&add("x"), 0);
    tale.end(DONE, &[("succeeded", 0, add("x"))]);
    tale
}

#[test]
fn a_tale_of_which_everything_is_true_is_believed() {
    added().comes_to(&[]);
}

#[test]
fn success_that_is_none_is_found() {
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    let call = tale.send(&add("x"), 0);
    tale.answer(call, Reply::Ambiguous("200, and nonsense"));
    tale.end(DONE, &[("succeeded", 0, add("x"))]);
    tale.comes_to(&[Kind::NotSo]);
}

#[test]
fn others_are_an_excuse_until_the_list_shows_what_they_did() {
    let others_come = |looks_again: bool| {
        let mut tale = added();
        tale.others(&remove("x"), 0);
        tale.wait(60);
        tale.begin(Deed::Apply(0), "b");
        if looks_again {
            tale.look();
        }
        tale.end(DONE, &[("unchanged", 0, add("x"))]);
        tale
    };
    others_come(true).comes_to(&[Kind::NotSo]);
    // Within the lag the program has to believe its own write.
    let mut tale = added();
    tale.others(&remove("x"), 0);
    tale.begin(Deed::Apply(0), "b");
    tale.look();
    tale.end(DONE, &[("unchanged", 0, add("x"))]);
    tale.comes_to(&[]);
    // What was already set is decided before the first call.
    let others_come = |before_the_first_call: bool| {
        let mut tale = added();
        tale.wait(60);
        tale.begin(Deed::Apply(0), "b");
        tale.look();
        tale.others(&remove("x"), 0);
        if before_the_first_call {
            tale.look();
        }
        tale.change(&add("y"), 0);
        tale.look();
        tale.end(DONE, &[("unchanged", 0, add("x")), ("succeeded", 0, add("y"))]);
        tale
    };
    others_come(false).comes_to(&[]);
    others_come(true).comes_to(&[Kind::NotSo]);
    // Whoever comes after the last look cannot be known.
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.change(&add("x"), 0);
    tale.others(&remove("x"), 0);
    tale.end(DONE, &[("succeeded", 0, add("x"))]);
    tale.comes_to(&[]);
}

#[test]
fn a_run_that_is_gone_on_with_looks_again() {
    let gone_on = |looks: bool| {
        let mut tale = Tale::new();
        tale.begin(Deed::Apply(0), "a");
        tale.look();
        tale.change(&add("x"), 0);
        tale.end(End::Killed, &[]);
        tale.told[0].results = None;
        tale.others(&remove("x"), 0);
        tale.wait(60);
        tale.begin(Deed::Resume(0), "a");
        if looks {
            tale.look();
            tale.change(&add("x"), 0);
        }
        tale.end(DONE, &[("succeeded", 0, add("x"))]);
        tale
    };
    gone_on(false).comes_to(&[Kind::NotSo]);
    gone_on(true).comes_to(&[]);
}

#[test]
fn what_another_command_of_ours_has_done_is_no_excuse() {
    let mut tale = added();
    tale.begin(Deed::Apply(0), "b");
    tale.look();
    tale.change(&remove("x"), 0);
    tale.end(DONE, &[("succeeded", 0, remove("x"))]);
    tale.begin(Deed::Apply(0), "a2");
    tale.end(DONE, &[("unchanged", 0, add("x"))]);
    tale.comes_to(&[Kind::NotSo]);
}

#[test]
fn a_call_that_was_long_on_its_way_is_an_excuse() {
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    let late = tale.send(&remove("x"), 0);
    tale.end(End::Killed, &[]);
    tale.told[0].results = None;
    tale.begin(Deed::Apply(0), "b");
    tale.look();
    tale.change(&add("x"), 0);
    tale.carry_out(&remove("x"), 0, Some(late));
    tale.end(DONE, &[("succeeded", 0, add("x"))]);
    tale.comes_to(&[]);
}

#[test]
fn what_was_done_after_all_is_found() {
    for (status, end) in [("failed", BAD_ROWS), ("not_attempted", End::Exited(5))] {
        let mut tale = Tale::new();
        tale.begin(Deed::Apply(0), "a");
        tale.told[0].was_calm = false;
        tale.look();
        let call = tale.send(&add("x"), 0);
        tale.carry_out(&add("x"), 0, Some(call));
        tale.answer(call, Reply::Ambiguous("504"));
        tale.end(end, &[(status, 0, add("x"))]);
        tale.comes_to(&[Kind::DoneAfterAll]);
    }
}

#[test]
fn unknown_needs_a_call_and_a_failure_a_reason() {
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.end(BAD_ROWS, &[("unknown", 0, add("x"))]);
    tale.comes_to(&[Kind::UnknownWithoutCall]);
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.end(BAD_ROWS, &[("failed rejected", 0, add("x"))]);
    tale.comes_to(&[Kind::WellMachineFailed]);
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.refused(&add("x"), 0, 404);
    tale.end(BAD_ROWS, &[("failed ResourceNotFound", 0, add("x"))]);
    tale.comes_to(&[]);
}

#[test]
fn another_machines_error_is_found() {
    let mut tale = Tale::new();
    tale.history.machines[1].nature = Nature::Gone;
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.refused(&add("x"), 1, 404);
    let rows = [("not_attempted ResourceNotFound", 0, add("x")), ("failed ResourceNotFound", 1, add("x"))];
    tale.end(BAD_ROWS, &rows);
    tale.comes_to(&[Kind::AnothersError]);
}

#[test]
fn rows_and_status_have_to_fit() {
    let mut tale = added();
    tale.told[0].file = Some((0, Vec::new()));
    tale.comes_to(&[Kind::RowsDiffer]);
    let mut tale = added();
    tale.told[0].end = BAD_ROWS;
    tale.comes_to(&[Kind::ExitStatus]);
    let mut tale = added();
    tale.told[0].end = End::Exited(5);
    tale.comes_to(&[Kind::ExitStatus]);
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.end(DONE, &[("not_attempted", 0, add("x"))]);
    tale.comes_to(&[Kind::ExitStatus]);
    for end in [End::Endless, End::Panicked("oh".into())] {
        let mut tale = added();
        tale.told[0].end = end;
        tale.comes_to(&[Kind::NoEnd]);
    }
}

#[test]
fn who_only_looks_must_not_touch_and_what_is_refused_neither() {
    for (deed, end) in [(Deed::Plan(0), DONE), (Deed::Verify(0), DONE), (Deed::Apply(0), End::Exited(3))] {
        let mut tale = Tale::new();
        tale.begin(deed, "a");
        tale.change(&add("x"), 0);
        tale.end(end, &[]);
        tale.told[0].results = None;
        tale.comes_to(&[Kind::WroteAlthough]);
    }
}

#[test]
fn verify_says_what_it_was_shown() {
    let mut tale = Tale::new();
    tale.begin(Deed::Verify(0), "-");
    tale.look();
    tale.end(End::Exited(10), &[("holds", 0, add("x")), ("differs", 0, add("y")), ("differs", 0, remove("z"))]);
    tale.comes_to(&[Kind::NotSo, Kind::NotSo]);
}

#[test]
fn an_undo_brings_back_what_was_there_and_nothing_else() {
    let undo = |tale: &mut Tale, row: &[(&str, MachineNumber, Wish)], does: bool| {
        tale.begin(Deed::Undo(0), "u");
        tale.look();
        if does {
            tale.change(&remove("x"), 0);
        }
        tale.end(DONE, row);
    };
    let row = |status| [(status, 0, remove("x"))];
    let mut tale = added();
    undo(&mut tale, &row("succeeded"), true);
    tale.comes_to(&[]);
    let mut tale = added();
    undo(&mut tale, &[], false);
    tale.comes_to(&[Kind::NotUndone]);
    let mut tale = added();
    undo(&mut tale, &row("not_attempted changed_since"), false);
    tale.comes_to(&[Kind::LeftWithoutReason]);
    // Others have taken it away and given it back: nobody can see that.
    let mut tale = added();
    tale.others(&remove("x"), 0);
    undo(&mut tale, &row("not_attempted changed_since"), false);
    tale.comes_to(&[]);
    // What nobody has seen before cannot be brought back, but has to be named.
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.change(&add("x"), 0);
    tale.end(DONE, &[("succeeded", 0, add("x"))]);
    undo(&mut tale, &[], false);
    tale.comes_to(&[Kind::LeftUnsaid]);
    let mut tale = added();
    tale.begin(Deed::Undo(0), "u");
    tale.end(End::Exited(3), &[]);
    tale.comes_to(&[Kind::UndoRefused]);
}

#[test]
fn an_undo_leaves_what_others_have_made_since() {
    let set = Wish::Set;
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.change(&set(DeviceValue::High), 0);
    tale.end(DONE, &[("succeeded", 0, set(DeviceValue::High))]);
    tale.others(&set(DeviceValue::Low), 0);
    tale.wait(60);
    tale.begin(Deed::Undo(0), "u");
    tale.look();
    tale.change(&set(DeviceValue::Normal), 0);
    tale.end(DONE, &[("succeeded", 0, set(DeviceValue::Normal))]);
    tale.comes_to(&[Kind::UndidOthers]);
    // What the run has never touched is not its undo's.
    let mut tale = added();
    tale.others(&add("y"), 1);
    tale.begin(Deed::Undo(0), "u");
    tale.look();
    tale.change(&remove("x"), 0);
    tale.change(&remove("y"), 1);
    tale.end(DONE, &[("succeeded", 0, remove("x")), ("succeeded", 1, remove("y"))]);
    tale.comes_to(&[Kind::UndidOthers]);
}

#[test]
fn an_undo_of_what_lies_beneath_waits_for_what_lies_on_it() {
    // A adds a tag, B removes it, and a number of undos take back each other.
    let chain = |undos: &[(Label, Wish)], row: (&str, bool)| {
        let mut tale = added();
        tale.begin(Deed::Apply(1), "b");
        tale.look();
        tale.change(&remove("x"), 0);
        tale.end(DONE, &[("succeeded", 0, remove("x"))]);
        for (number, (label, wish)) in undos.iter().enumerate() {
            tale.begin(Deed::Undo(*label), &format!("u{number}"));
            tale.look();
            tale.change(wish, 0);
            tale.end(DONE, &[("succeeded", 0, wish.clone())]);
        }
        tale.wait(60);
        tale.begin(Deed::Undo(0), "last");
        tale.look();
        if row.1 {
            tale.change(&remove("x"), 0);
        }
        tale.end(DONE, &[(row.0, 0, remove("x"))]);
        tale
    };
    let (left, done) = (("not_attempted changed_since", false), ("succeeded", true));
    chain(&[(1, add("x"))], done).comes_to(&[]);
    chain(&[(1, add("x"))], left).comes_to(&[Kind::LeftWithoutReason]);
    chain(&[(1, add("x")), (2, remove("x"))], left).comes_to(&[]);
    chain(&[(1, add("x")), (2, remove("x")), (1, add("x"))], left).comes_to(&[Kind::LeftWithoutReason]);
    chain(&[(1, add("x")), (2, remove("x")), (3, add("x"))], left).comes_to(&[Kind::LeftWithoutReason]);
}

#[test]
fn what_was_answered_is_not_sent_again() {
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.look();
    tale.change(&add("x"), 0);
    tale.change(&add("x"), 0);
    tale.end(DONE, &[("succeeded", 0, add("x"))]);
    tale.comes_to(&[Kind::SentAgain]);
    let again = |seconds_until_death: u64, others_come: bool| {
        let mut tale = Tale::new();
        tale.begin(Deed::Apply(0), "a");
        tale.look();
        tale.change(&add("x"), 0);
        let now = tale.now;
        tale.end(End::Killed, &[]);
        tale.told[0].results = None;
        tale.told[0].ended_at = now + Duration::from_secs(seconds_until_death);
        if others_come {
            tale.others(&remove("x"), 0);
        }
        tale.begin(Deed::Resume(0), "a");
        tale.change(&add("x"), 0);
        tale.end(DONE, &[("succeeded", 0, add("x"))]);
        tale
    };
    again(30, false).comes_to(&[Kind::SentAgain]);
    // It died before the answer could be stored; or somebody has changed it.
    again(0, false).comes_to(&[]);
    again(30, true).comes_to(&[]);
}

#[test]
fn calls_that_may_not_be_made_are_found() {
    let mut tale = added();
    tale.log.note(tale.now, Event::Trespass("one too many".into()));
    tale.comes_to(&[Kind::Trespass]);
    let waited = |seconds: u64| {
        let mut tale = Tale::new();
        tale.begin(Deed::Apply(0), "a");
        tale.look();
        let call = tale.send(&add("x"), 0);
        let until = tale.now + Duration::from_secs(20);
        tale.answer(call, Reply::Throttled(Some(until)));
        tale.now += Duration::from_secs(seconds);
        tale.change(&add("x"), 0);
        tale.end(DONE, &[("succeeded", 0, add("x"))]);
        tale
    };
    waited(3).comes_to(&[Kind::Trespass]);
    waited(25).comes_to(&[]);
    let mut tale = Tale::new();
    tale.begin(Deed::Apply(0), "a");
    tale.told[0].was_calm = false;
    for _ in 0..13 {
        tale.refused(&add("x"), 0, 403);
    }
    tale.end(End::Exited(4), &[("failed Forbidden", 0, add("x"))]);
    tale.comes_to(&[Kind::AskedOnAndOn]);
}

#[test]
fn when_all_is_well_the_file_has_to_come_about() {
    let mut tale = added();
    tale.begin(Deed::Apply(0), "b");
    tale.told[1].label = LAST_LABELS + 1;
    tale.look();
    tale.end(BAD_ROWS, &[("unknown", 0, add("y")), ("succeeded", 0, add("x"))]);
    tale.told[1].was_calm = false;
    tale.comes_to(&[Kind::NoProgress, Kind::UnknownWithoutCall]);
}

#[test]
fn a_tag_that_was_removed_in_another_case_shortly_before_may_have_been_gone() {
    for (other_removes, violations) in [(false, &[Kind::UndoRefused][..]), (true, &[])] {
        let mut tale = Tale::new();
        tale.log.initial.insert(remove("old").slot(0), Content::Tag(["OLD".to_owned()].into()));
        tale.begin(Deed::Apply(0), "other");
        tale.look();
        if other_removes {
            tale.change(&remove("old"), 0);
        }
        tale.end(DONE, &[("succeeded", 0, remove("old"))]);
        tale.begin(Deed::Apply(1), "a");
        tale.look();
        tale.change(&remove("OLD"), 0);
        tale.end(DONE, &[("succeeded", 0, remove("OLD"))]);
        tale.begin(Deed::Undo(1), "u");
        tale.end(End::Exited(3), &[]);
        tale.comes_to(violations);
    }
}
