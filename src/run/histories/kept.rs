//! Histories that once failed, short as they were shrunk: each holds a fault that was mended.

mod guards;
mod undos;

use std::panic::Location;
use std::time::Duration;

use super::faults::Fault;
use super::history::{Command, Deed, Fate, Habits, History, Label, Machine, Nature, Options, Reference, Row, Step};
use super::telling::End;
use super::truth::{MachineNumber, Wish};
use super::{HISTORIES_WANTED, judge, number_from_environment};
use crate::model::DeviceValue;
use crate::sandbox::DeadNaming;

/// A tenant of three machines, and nothing odd about it or its service.
fn plain() -> History {
    let machine = || Machine { is_listed: true, nature: Nature::Well, tags: Vec::new(), value: DeviceValue::High };
    let habits = Habits {
        quota: "100/1m,1500/1h",
        list_lag: Duration::ZERO,
        page_machines: 100,
        batch_limit: 500,
        naming: DeadNaming::All,
        tells_case_apart: true,
        forbids_bulk: false,
        counts_bulk_apart: false,
        finds_out_scope: false,
        latency: Duration::ZERO,
    };
    History { seed: 0, habits, machines: vec![machine(), machine(), machine()], steps: Vec::new() }
}

fn file(rows: &[(Wish, MachineNumber)]) -> Step {
    let row = |(wish, machine): &(Wish, MachineNumber)| Row {
        machine: *machine,
        reference: Reference::Id,
        wishes: vec![wish.clone()],
    };
    Step::Write { file: 0, rows: rows.iter().map(row).collect() }
}

fn command(label: Label, deed: Deed, fate: Fate) -> Command {
    Command { fate, ..Command::plain(label, deed, u64::from(label)) }
}

fn apply(label: Label, fate: Fate) -> Step {
    Step::Command(command(label, Deed::Apply(0), fate))
}

fn undo(label: Label, of: Label) -> Step {
    Step::Command(command(label, Deed::Undo(of), Fate::Undisturbed))
}

fn add(tag: &str) -> Wish {
    Wish::Add(tag.into())
}

fn remove(tag: &str) -> Wish {
    Wish::Remove(tag.into())
}

fn set(value: DeviceValue) -> Wish {
    Wish::Set(value)
}

/// Judges it; says whether a process was killed in it.
#[track_caller]
fn holds(history: History, steps: impl IntoIterator<Item = Step>) -> bool {
    let history = History { steps: steps.into_iter().collect(), ..history };
    let (performance, violations) = judge(&history);
    assert!(violations.is_empty(), "{violations:?}\n{}", super::printing::print(&history, &performance));
    performance.told.iter().any(|told| told.end == End::Killed)
}

/// Kills the first command after some of its commits in turn, as far as it comes: after every second one where more histories
/// are asked for, and after every sixth otherwise.
#[track_caller]
fn holds_whenever_it_dies(history: &History, steps: impl Fn(Fate) -> Vec<Step>) {
    let step: u8 = if number_from_environment(HISTORIES_WANTED).is_some() { 2 } else { 6 };
    // Others each time, so that neighbours have something of every moment.
    let first = Location::caller().line() % u32::from(step);
    for commits in (first as usize..45).step_by(usize::from(step)) {
        if !holds(history.clone(), steps(Fate::KilledAtCommit(commits))) {
            return;
        }
    }
}

#[test]
fn a_file_whose_rows_were_turned_round_after_a_kill_is_brought_about() {
    let mut history = plain();
    history.habits.list_lag = Duration::from_mins(10);
    holds_whenever_it_dies(&history, |fate| {
        vec![
            file(&[(add("tier0"), 0), (add("new"), 1), (set(DeviceValue::Low), 2)]),
            apply(1, fate),
            file(&[(remove("tier0"), 0), (add("new"), 1), (set(DeviceValue::Normal), 2)]),
            apply(2, Fate::Undisturbed),
            file(&[(add("tier0"), 0), (set(DeviceValue::Low), 2)]),
            apply(3, Fate::Undisturbed),
        ]
    });
}

#[test]
fn whatever_a_dead_process_has_done_is_taken_back() {
    let mut history = plain();
    history.habits.latency = Duration::from_millis(400);
    for milliseconds in (0..2500).step_by(90) {
        let fate = Fate::KilledAfter(Duration::from_millis(milliseconds));
        let rows = file(&[(add("tier0"), 0), (add("new"), 0), (set(DeviceValue::Low), 1)]);
        holds(history.clone(), [rows, apply(1, fate), undo(2, 1)]);
    }
}

#[test]
fn runs_on_one_slot_are_taken_back_one_after_the_other_whichever_of_them_dies() {
    let mut history = plain();
    history.machines[0].tags.push("old".into());
    let first = file(&[(add("new"), 0), (remove("old"), 0), (set(DeviceValue::Low), 1)]);
    let second = file(&[(remove("new"), 0), (add("old"), 0), (set(DeviceValue::Normal), 1)]);
    let undoing = |label, of, fate| Step::Command(command(label, Deed::Undo(of), fate));
    let (well, wait) = (Fate::Undisturbed, || Step::Wait(Duration::from_mins(20)));
    let chain = |fates: [Fate; 2], end: Vec<Step>| {
        let begin = [first.clone(), apply(1, well), second.clone(), apply(2, fates[0]), undoing(3, 2, fates[1])];
        begin.into_iter().chain(end).collect::<Vec<_>>()
    };
    holds_whenever_it_dies(&history, |fate| chain([fate, well], vec![undo(4, 1)]));
    holds_whenever_it_dies(&history, |fate| chain([well, fate], vec![wait(), undo(4, 1)]));
    holds_whenever_it_dies(&history, |fate| chain([well, fate], vec![undo(4, 2), wait(), undo(5, 1)]));
    history.habits.list_lag = Duration::from_mins(15);
    holds_whenever_it_dies(&history, |fate| chain([well, fate], vec![undo(4, 2), undo(5, 1)]));
    // The undo is taken back, made again, and killed.
    holds_whenever_it_dies(&history, |fate| {
        chain([well, well], vec![undo(4, 3), undoing(5, 2, fate), undo(6, 2), wait(), undo(7, 1)])
    });
}

#[test]
fn what_others_do_while_nobody_is_at_a_run_is_seen_when_it_is_gone_on_with() {
    holds_whenever_it_dies(&plain(), |fate| {
        vec![
            file(&[(remove("old"), 1), (add("new"), 0), (add("new"), 2)]),
            apply(1, fate),
            Step::Others(1, add("old")),
            Step::Others(0, remove("new")),
            Step::Wait(Duration::from_mins(20)),
            apply(2, Fate::Undisturbed),
        ]
    });
}

#[test]
fn a_change_that_a_504_hides_is_never_denied() {
    for fault in [Fault::GatewayTimeout504Done, Fault::Failed500Done, Fault::TimedOutDone, Fault::RequestTimeout408Done]
    {
        let mut stormy = command(1, Deed::Apply(0), Fate::Interrupted(Duration::from_secs(20)));
        stormy.weather.faults = vec![(fault, 1000)];
        let rows = file(&[(add("new"), 0), (remove("old"), 1), (set(DeviceValue::Low), 2)]);
        holds(plain(), [rows, Step::Command(stormy), undo(2, 1)]);
    }
}

#[test]
fn nonsense_under_200_is_no_success() {
    let mut stormy = command(1, Deed::Apply(0), Fate::Undisturbed);
    stormy.weather.faults = vec![(Fault::Nonsense200, 500)];
    holds(plain(), [file(&[(add("new"), 0), (remove("old"), 0), (add("new"), 1)]), Step::Command(stormy)]);
}

#[test]
fn a_remove_that_comes_about_only_when_a_run_is_gone_on_with_waits_for_its_add() {
    let mut history = plain();
    history.habits.latency = Duration::from_secs(3);
    let options = Options { no_inventory: true, ..Options::default() };
    holds_whenever_it_dies(&history, |fate| {
        let resume = command(2, Deed::Resume(1), Fate::Undisturbed);
        let rows = file(&[(add("new"), 1), (remove("old"), 1)]);
        vec![rows, apply(1, fate), Step::Command(Command { options: options.clone(), ..resume })]
    });
}

#[test]
fn what_a_run_saw_before_is_not_lost_when_it_is_gone_on_with_blindly() {
    let mut history = plain();
    history.machines[0].tags.push("old".into());
    let options = Options { no_inventory: true, ..Options::default() };
    holds_whenever_it_dies(&history, |fate| {
        let again = command(2, Deed::Apply(0), Fate::Undisturbed);
        let rows = file(&[(set(DeviceValue::Low), 2), (remove("old"), 0), (add("new"), 1)]);
        // Where the first one died before it had seen anything, nothing can be taken back.
        let undo = if matches!(fate, Fate::KilledAtCommit(22..)) { vec![undo(3, 2)] } else { Vec::new() };
        let mut steps = vec![rows, apply(1, fate), Step::Command(Command { options: options.clone(), ..again })];
        steps.extend(undo);
        steps
    });
}

#[test]
fn what_an_undo_leaves_keeps_nothing_of_its_machine_waiting() {
    let mut history = plain();
    history.machines[0].tags.push("tier0".into());
    history.habits.quota = "3/1m";
    let options = Options { no_inventory: true, ..Options::default() };
    // The first command dies blind, so that nobody knows what was before the tag which it had added.
    holds_whenever_it_dies(&history, |fate| {
        let blind = Command { options: options.clone(), ..command(1, Deed::Apply(0), fate) };
        let rows = file(&[(add("new"), 0), (add("old"), 0), (remove("tier0"), 0)]);
        let mut steps = vec![rows, Step::Command(blind), apply(2, Fate::Undisturbed)];
        if matches!(fate, Fate::KilledAtCommit(22..)) {
            steps.push(undo(3, 2));
        }
        steps
    });
}

#[test]
fn what_was_forbidden_once_is_asked_for_again_when_the_file_is_applied_again() {
    let mut history = plain();
    history.machines[1].is_listed = false;
    for seed in 2..6 {
        holds_whenever_it_dies(&history, |fate| {
            let mut stormy = Command { seed, ..command(1, Deed::Apply(0), fate) };
            stormy.weather.faults = vec![(Fault::Forbidden403, 500)];
            let low = set(DeviceValue::Low);
            let rows = file(&[(low.clone(), 0), (low.clone(), 1), (low, 2), (add("new"), 0), (add("old"), 1)]);
            // The last command is judged by what it brings about.
            vec![rows, Step::Command(stormy), apply(super::drawing::LAST_LABELS + 1, Fate::Undisturbed)]
        });
    }
}

#[test]
fn what_was_there_in_another_case_is_taken_back() {
    let mut history = plain();
    history.habits.tells_case_apart = false;
    history.machines[0].tags.push("old".into());
    holds(history.clone(), [file(&[(remove("OLD"), 0)]), apply(1, Fate::Undisturbed), undo(2, 1)]);
    history.habits.tells_case_apart = true;
    let rows = file(&[(remove("old"), 0), (remove("OLD"), 0)]);
    holds(history.clone(), [rows, apply(1, Fate::Undisturbed), undo(2, 1)]);
    // Neither is what was added lost that nobody can take back.
    history.machines[1].tags.push("old".into());
    holds(history, [file(&[(add("OLD"), 1), (add("new"), 0)]), apply(1, Fate::Undisturbed), undo(2, 1)]);
}

#[test]
fn after_a_restart_an_own_write_that_may_be_old_makes_nothing_so() {
    let mut history = plain();
    history.machines[1].tags.push("old".into());
    // Neither does the wall clock, which somebody may have set.
    for (minutes, seconds) in [(1, 0), (18, 0), (600, 0), (18, -3600)] {
        let rows = file(&[(remove("old"), 1), (set(DeviceValue::Low), 0)]);
        let steps = [
            rows,
            apply(1, Fate::Undisturbed),
            Step::Others(1, add("old")),
            Step::Restart,
            Step::Wait(Duration::from_mins(minutes)),
            Step::SetClock { seconds },
            apply(2, Fate::Undisturbed),
            undo(3, 2),
        ];
        holds(history.clone(), steps);
    }
}

#[test]
fn after_a_restart_an_own_write_that_is_old_upholds_no_outcome() {
    let mut history = plain();
    history.machines[2].nature = Nature::Broken;
    let steps = [
        file(&[(set(DeviceValue::Low), 0), (add("new"), 2)]),
        apply(1, Fate::Undisturbed),
        Step::Others(0, set(DeviceValue::High)),
        Step::Restart,
        Step::Wait(Duration::from_mins(18)),
        apply(2, Fate::Undisturbed),
    ];
    holds(history, steps);
}

#[test]
fn a_restart_makes_nothing_that_was_done_a_minute_ago_undone() {
    let mut history = plain();
    history.habits.list_lag = Duration::from_mins(10);
    history.machines[1].nature = Nature::Protected;
    let none = Options { limit: Some(0), ..Options::default() };
    for label in 2..6 {
        let resume = Command { options: none.clone(), ..command(label, Deed::Resume(1), Fate::Undisturbed) };
        let rows = file(&[(remove("old"), 1), (add("new"), 1), (set(DeviceValue::Low), 0)]);
        holds(history.clone(), [rows, apply(1, Fate::Undisturbed), Step::Restart, Step::Command(resume)]);
    }
}

#[test]
fn what_a_list_that_lags_shows_of_a_time_before_the_last_call_is_not_somebody_elses() {
    let mut history = plain();
    history.habits.list_lag = Duration::from_mins(10);
    // It keeps the run open.
    history.machines[1].nature = Nature::Broken;
    let rows = |value| file(&[(set(value), 0), (add("new"), 1)]);
    let again = |label, deed| {
        let [first, second] = [label, label + 20].map(|label| Step::Command(command(label, deed, Fate::Undisturbed)));
        [Step::Wait(Duration::from_mins(20)), first, second]
    };
    for label in 3..9 {
        // Others set it between, or an earlier version of the file did.
        for deed in [Deed::Apply(0), Deed::Resume(1)] {
            let others =
                [rows(DeviceValue::Low), apply(1, Fate::Undisturbed), Step::Others(0, set(DeviceValue::Normal))];
            holds(history.clone(), others.into_iter().chain(again(label, deed)));
        }
        let flipped = [rows(DeviceValue::Normal), apply(1, Fate::Undisturbed), rows(DeviceValue::Low)];
        holds(history.clone(), flipped.into_iter().chain(again(label, Deed::Apply(0))));
    }
}

#[test]
fn what_an_earlier_version_of_a_file_may_have_done_says_so_when_it_is_asked_for_again() {
    let mut history = plain();
    history.habits.latency = Duration::from_secs(3);
    let none = Options { limit: Some(0), ..Options::default() };
    for milliseconds in (500..7000).step_by(800) {
        let dying = Fate::KilledAfter(Duration::from_millis(milliseconds));
        holds_whenever_it_dies(&history, |fate| {
            let last = Command { options: none.clone(), ..command(3, Deed::Apply(0), Fate::Undisturbed) };
            let other = file(&[(set(DeviceValue::Normal), 2)]);
            let asked = file(&[(add("new"), 0)]);
            vec![asked.clone(), apply(1, dying), other, apply(2, fate), asked, Step::Command(last)]
        });
    }
}

#[test]
fn what_another_run_of_ours_has_undone_is_not_said_to_be_so_where_no_list_could_be_read() {
    let mut history = plain();
    history.habits.latency = Duration::from_secs(3);
    // It keeps the run open.
    history.machines[1].nature = Nature::Broken;
    for milliseconds in (0..9000).step_by(1500) {
        for deed in [Deed::Apply(0), Deed::Resume(1)] {
            let first = file(&[(set(DeviceValue::Low), 0), (add("new"), 1)]);
            let other = Row { machine: 0, reference: Reference::Id, wishes: vec![set(DeviceValue::Normal)] };
            let second = Step::Command(command(2, Deed::Apply(1), Fate::Undisturbed));
            let fate = Fate::Interrupted(Duration::from_millis(milliseconds));
            let last = Step::Command(command(3, deed, fate));
            let steps = [first, apply(1, Fate::Undisturbed), Step::Write { file: 1, rows: vec![other] }, second, last];
            holds(history.clone(), steps);
        }
    }
}

#[test]
fn a_remove_waits_where_a_later_run_has_taken_away_what_was_to_be_added() {
    let mut history = plain();
    history.machines[0].tags.push("tier0".into());
    history.machines[0].nature = Nature::Broken;
    let first = file(&[(add("old"), 0), (remove("tier0"), 0), (add("new"), 1)]);
    let other = Row { machine: 0, reference: Reference::Id, wishes: vec![remove("old")] };
    let well = |label, deed| Step::Command(command(label, deed, Fate::Undisturbed));
    for again in [Deed::Resume(1), Deed::Apply(0)] {
        let second = Step::Write { file: 1, rows: vec![other.clone()] };
        let steps = [first.clone(), well(1, Deed::Apply(0)), second, well(2, Deed::Apply(1)), well(3, again)];
        holds(history.clone(), steps);
    }
}

#[test]
fn an_operation_that_a_file_ceased_to_ask_for_is_sent_when_it_asks_again_and_no_list_shows_the_machine() {
    let mut history = plain();
    history.machines[1].nature = Nature::Protected;
    history.machines[2].is_listed = false;
    let kept = (set(DeviceValue::Low), 1);
    let versions = [vec![(add("new"), 2), kept.clone()], vec![kept], vec![(add("new"), 2)]];
    let steps = (1..).zip(&versions).flat_map(|(label, rows)| [file(rows), apply(label, Fate::Undisturbed)]);
    holds(history, steps.collect::<Vec<_>>());
}

#[test]
fn what_a_run_saw_of_a_machine_before_it_was_asked_for_it_is_no_value_to_go_back_to() {
    holds_whenever_it_dies(&plain(), |fate| {
        let (other, asked) = (file(&[(add("old"), 1)]), file(&[(add("tier0"), 1)]));
        let leaves = Step::List(1, false);
        vec![other, apply(1, fate), leaves, asked, apply(2, Fate::Undisturbed), undo(3, 2)]
    });
}

#[test]
fn a_list_that_lags_behind_a_run_that_looked_at_nothing_is_no_reason_to_leave_what_a_later_one_did() {
    let mut history = plain();
    history.habits.list_lag = Duration::from_mins(2);
    history.machines[0].value = DeviceValue::Low;
    let [low, normal, high] =
        [DeviceValue::Low, DeviceValue::Normal, DeviceValue::High].map(|to| file(&[(set(to), 0)]));
    let options = Options { no_inventory: true, ..Options::default() };
    let blind = Step::Command(Command { options, ..command(1, Deed::Apply(0), Fate::Undisturbed) });
    // Nor when the undo is resumed.
    holds_whenever_it_dies(&history, |fate| {
        let [second, third] = [2, 3].map(|label| apply(label, Fate::Undisturbed));
        let dying = Step::Command(command(4, Deed::Undo(3), fate));
        let (low, blind, normal, high) = (low.clone(), blind.clone(), normal.clone(), high.clone());
        vec![low, blind, normal, second, high, third, dying, undo(5, 3)]
    });
}

#[test]
fn what_is_removed_may_take_another_form_of_the_tag_with_it_that_no_list_had_shown() {
    let mut history = plain();
    history.habits.tells_case_apart = false;
    history.machines[1].tags.push("old".into());
    let well = |label, rows: &[(Wish, MachineNumber)]| [file(rows), apply(label, Fate::Undisturbed)];
    let added = [(add("OLD"), 1)];
    let steps = [well(1, &added), well(2, &[(remove("old"), 1)]), well(3, &added)];
    holds(history, steps.into_iter().flatten());
}

#[test]
fn another_form_of_a_tag_that_came_back_since_stays_where_an_undo_is_taken_back() {
    let mut history = plain();
    history.machines[0].tags.push("new".into());
    let [first, second] = [file(&[(remove("new"), 0)]), file(&[(add("NEW"), 0), (add("new"), 0)])];
    let applied = [first, apply(1, Fate::Undisturbed), second, apply(2, Fate::Undisturbed)];
    holds(history, applied.into_iter().chain([undo(3, 2), undo(4, 1), undo(5, 3), undo(6, 4)]));
}

#[test]
fn a_list_that_takes_minutes_to_read_is_as_old_as_the_beginning_of_its_reading() {
    let mut history = plain();
    (history.habits.quota, history.habits.page_machines) = ("3/1m", 2);
    history.machines = vec![history.machines[0].clone(); 9];
    let well = Fate::Undisturbed;
    let others = Step::Others(8, remove("new"));
    let steps =
        [file(&[(add("new"), 8)]), apply(1, well), others, Step::Wait(Duration::from_secs(870)), apply(2, well)];
    holds(history, steps);
}
